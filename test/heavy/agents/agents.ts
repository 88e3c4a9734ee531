/** Coding agents, headless, with the settings that docs/agents.md names for each. They call the gateway and nothing else. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { HeavyPackages } from '../install.ts';

const page = readFileSync(new URL('../../../docs/agents.md', import.meta.url), 'utf8');
/** The gateway of the examples, and the key of its client. */
const EXAMPLE_HOST = '127.0.0.1:4747';
export const EXAMPLE_KEY = 'bw-agents-key';
/** A turn that takes longer is ended, in ms. */
const TURN_MAX_MS = 240_000;

export const SECRET = 'the lighthouse is green';

export interface Setup {
  /** Below the folder of the agent's packages. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Default: nothing. */
  readonly stdin?: string;
  /** Below its home. */
  readonly files: Readonly<Record<string, string>>;
}

export interface Agent {
  readonly name: string;
  readonly packages: HeavyPackages;
  /** The dialect that it speaks, as a provider's protocol. */
  readonly speaks: 'openai' | 'anthropic' | 'gemini';
  readonly model: string;
  /** Its tool that runs a command, as Storm is asked to call it on a target of its own dialect, and of another. */
  readonly toolCall: string;
  readonly convertedToolCall?: string;
  setup(home: string, prompt: string): Setup;
}

/** The code blocks of a section of the page, in order. */
function blocks(heading: string, language: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/```(\w+)\n([^]*?)```/g)].filter(([, named]) => named === language).map(([, , code]) => code!);
}

/** `export NAME=value` lines. */
function exportsOf(heading: string): Record<string, string> {
  const lines = blocks(heading, 'sh').flatMap((code) => [...code.matchAll(/^export (\w+)=(\S+)/gm)]);
  return Object.fromEntries(lines.map(([, name, value]) => [name!, value!]));
}

const folder = (name: string): string => join(import.meta.dirname, name);

const claude: Agent = {
  name: 'Claude Code',
  packages: new HeavyPackages(join(import.meta.dirname, '..', 'claude-code'), 'Claude Code (some 400 MB)'),
  speaks: 'anthropic',
  model: 'claude-sonnet-5-5',
  toolCall: 'call Bash {"command":"cat harbour.txt","description":"Read a file"}',
  setup: (_home, prompt) => ({
    program: join(import.meta.dirname, '..', 'claude-code', 'node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs'),
    args: ['-p', prompt, '--output-format', 'text', '--tools', 'Bash', '--allowedTools', 'Bash'],
    env: { ...exportsOf('Claude Code'), ANTHROPIC_MODEL: 'claude-sonnet-5-5', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    files: {},
  }),
};

/** Its models write programs that call its tools. */
const CODEX_SCRIPT = 'text((await tools.exec_command({ cmd: "cat harbour.txt" })).output)';

const codex: Agent = {
  name: 'Codex',
  packages: new HeavyPackages(folder('codex'), 'Codex (some 420 MB)'),
  speaks: 'openai',
  model: 'gpt-5.6-sol',
  toolCall: `call exec ${JSON.stringify(CODEX_SCRIPT)}`,
  convertedToolCall: `call functions__exec ${JSON.stringify({ input: CODEX_SCRIPT })}`,
  setup: (home, prompt) => ({
    program: join(folder('codex'), 'node_modules/@openai/codex/bin/codex.js'),
    args: ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', prompt],
    env: { CODEX_HOME: join(home, '.codex'), AGENTS_KEY: EXAMPLE_KEY },
    files: { '.codex/config.toml': blocks('Codex', 'toml')[0]! },
  }),
};

const gemini: Agent = {
  name: 'Gemini CLI',
  packages: new HeavyPackages(folder('gemini-cli'), 'Gemini CLI (some 100 MB)'),
  speaks: 'gemini',
  model: 'gemini-2.5-pro',
  toolCall: 'call run_shell_command {"command":"cat harbour.txt"}',
  setup: (_home, prompt) => ({
    program: join(folder('gemini-cli'), 'node_modules/@google/gemini-cli/bundle/gemini.js'),
    args: ['-p', prompt, '-m', 'gemini-2.5-pro', '--yolo'],
    env: { ...exportsOf('Gemini CLI'), GEMINI_CLI_TRUST_WORKSPACE: 'true' },
    files: { '.gemini/settings.json': blocks('Gemini CLI', 'json')[0]! },
  }),
};

const opencode: Agent = {
  name: 'opencode',
  packages: new HeavyPackages(folder('opencode'), 'opencode (some 390 MB)'),
  speaks: 'openai',
  model: 'gpt-5.6-sol',
  toolCall: 'call bash {"command":"cat harbour.txt","description":"Read a file"}',
  setup: (home, prompt) => ({
    program: join(folder('opencode'), 'node_modules/opencode-linux-x64/bin/opencode'),
    // A prompt of several words in an argument is quoted.
    args: ['run'],
    stdin: prompt,
    env: {
      XDG_CONFIG_HOME: join(home, '.config'),
      OPENCODE_DISABLE_AUTOUPDATE: '1',
      OPENCODE_DISABLE_MODELS_FETCH: '1',
      OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
      OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
    },
    files: { 'opencode.json': blocks('opencode', 'json')[0]! },
  }),
};

export const AGENTS: readonly Agent[] = [claude, codex, gemini, opencode];

export interface Turn {
  readonly code: number | null;
  readonly out: string;
  readonly ms: number;
}

/** One turn in a folder of its own. `origin`: of the gateway, or of the provider itself. */
export async function runTurn(
  t: TestContext,
  agent: Agent,
  origin: string,
  { isConverted = false, timeoutMs = TURN_MAX_MS }: { isConverted?: boolean; timeoutMs?: number } = {},
): Promise<Turn> {
  const home = mkdtempSync(join(tmpdir(), 'breakwater-agent-'));
  t.after(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  const here = (text: string): string => text.replaceAll(EXAMPLE_HOST, new URL(origin).host);
  const toolCall = (isConverted ? agent.convertedToolCall : undefined) ?? agent.toolCall;
  const { program, args, env: settings, files, stdin } = agent.setup(home, `What colour is the lighthouse?\n${toolCall}`);
  writeFileSync(join(home, 'harbour.txt'), SECRET);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), here(text));
  }
  const own = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, here(value)]));
  const startedAt = performance.now();
  const isScript = /\.[cm]?js$/.test(program);
  const child = spawn(isScript ? process.execPath : program, isScript ? [program, ...args] : args, {
    cwd: home,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: home, TERM: 'dumb', NO_COLOR: '1', ...own },
    // A group of its own: an agent starts itself again, and runs commands.
    detached: true,
  });
  const end = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  t.after(end);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  child.stdin.end(stdin ?? '');
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  return { code: isLate ? null : code, out, ms: performance.now() - startedAt };
}
