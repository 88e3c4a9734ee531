/**
 * The code blocks of README, docs and examples: configs are valid, JSON parses, TypeScript type-checks, and commands run: those of `breakwater`
 * and `curl` against a demo gateway, in a folder with a config, a request log and a file of prompts.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { parseConfig, type ConfigInput } from '../src/gateway/config/index.ts';
import { configSchema } from '../src/gateway/config/schema.ts';
import { createBreakwater } from '../src/index.ts';
import { startStorm, type Storm } from '../src/storm/index.ts';
import { startCli, type CliProcess } from './cli/run-cli.ts';
import { listFiles, root } from './tidy/scan.ts';

interface Block {
  /** `docs/x.md:12`. */
  readonly at: string;
  readonly language: string;
  readonly code: string;
}

const pages = ['README.md', ...listFiles(['docs', 'examples'], /\.md$/)];
const blocks = pages.flatMap((path): Block[] => {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```/gm)].map((found) => {
    const line = text.slice(0, found.index).split('\n').length;
    return { at: `${path}:${line}`, language: found[1]!, code: found[2]! };
  });
});
const inLanguage = (language: string): Block[] => blocks.filter((block) => block.language === language);

test('every block names a language that is known here', () => {
  const known = new Set([
    '',
    'html',
    'json',
    'mermaid',
    'nginx',
    'python',
    'sh',
    'text',
    'toml',
    'ts',
    'yaml',
    'promql',
    'ini',
    'dockerfile',
  ]);
  assert.deepEqual(
    blocks.filter(({ language }) => !known.has(language)).map(({ at, language }) => `${at} ${language}`),
    [],
  );
});

test('every JSON block parses', () => {
  assert.ok(inLanguage('json').length >= 8);
  for (const { at, code } of inLanguage('json')) assert.doesNotThrow(() => void JSON.parse(code), at);
});

const sections = new Set(Object.keys(configSchema.shape));
const isConfig = (value: unknown): value is ConfigInput =>
  typeof value === 'object' && value !== null && Object.keys(value).every((key) => sections.has(key));

/** The providers that a block mentions without defining them, as elsewhere on its page. */
function withProviders(config: ConfigInput): ConfigInput {
  const given = config.providers ?? {};
  const targets = JSON.stringify([config.models, config.clients, config.prices, config.server?.passThrough, config.policy]);
  const named = [...targets.matchAll(/"([a-z][\w-]*)\/[^"/]/g)].map(([, name]) => name!).filter((name) => name !== 'local');
  const missing = [...new Set(['openai', ...named])].filter((name) => !(name in given));
  const added = missing.map((name) => [name, { protocol: 'openai', baseUrl: `https://${name}.example/v1`, apiKey: 'key' }] as const);
  return { ...config, providers: { ...Object.fromEntries(added), ...given } };
}

/** A value for every variable that a block uses. */
const env = new Proxy<Record<string, string>>({}, { get: (_, name) => `value-of-${String(name)}`.toLowerCase() });

test('every YAML block parses, and those that are configs are valid', () => {
  let configs = 0;
  for (const { at, code } of inLanguage('yaml')) {
    const value: unknown = parse(code);
    if (!isConfig(value)) continue;
    configs += 1;
    const parsed = parseConfig(withProviders(value), { env, source: 'library' });
    assert.deepEqual(parsed.ok ? [] : parsed.faults.map(({ message }) => message), [], `${at}\n${code}`);
  }
  assert.ok(configs >= 30);
});

const run = promisify(execFile);

/** What blocks use without declaring it. */
const ambient: Readonly<Record<string, string>> = {
  OpenAI: `import OpenAI from 'openai';`,
  createBreakwater: `import { createBreakwater } from 'breakwater';`,
  createReadStream: `import { createReadStream } from 'node:fs';`,
  openai: `declare const openai: import('openai').default;`,
  anthropic: `declare const anthropic: import('@anthropic-ai/sdk').default;`,
  providers: `declare const providers: import('breakwater').ConfigInput['providers'];`,
  models: `declare const models: import('breakwater').ConfigInput['models'];`,
  targets: `declare const targets: ['openai/gpt-4o-mini'];`,
  messages: `declare const messages: { role: 'user'; content: string }[];`,
  sleep: `declare const sleep: (ms: number) => Promise<void>;`,
};

test('every TypeScript block type-checks', { timeout: 170_000 }, async () => {
  // In the checkout, where packages resolve.
  const folder = join(root, '.cache', `docs-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  try {
    const found = inLanguage('ts');
    assert.ok(found.length >= 8);
    for (const [at, { code }] of found.entries()) {
      const isDeclared = (name: string): boolean => new RegExp(`(?:import|const|let)\\s+(?:\\{[^}]*)?\\b${name}\\b`).test(code);
      const isUsed = (name: string): boolean => new RegExp(`(?<![.'"\\w/])${name}\\b(?!:)`).test(code);
      const lines = Object.entries(ambient).filter(([name]) => isUsed(name) && !isDeclared(name));
      const text = code.replaceAll(`'./src/`, `'../../src/`);
      writeFileSync(join(folder, `block-${at}.ts`), `${lines.map(([, line]) => line).join(' ')}\n${text}\nexport {};\n`);
    }
    const paths = { breakwater: ['../../src/index.ts'], 'breakwater/testing': ['../../src/testing/index.ts'] };
    const compilerOptions = {
      paths,
      noUnusedLocals: false,
      noUnusedParameters: false,
      noUncheckedIndexedAccess: false,
      exactOptionalPropertyTypes: false,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['.'] }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const failure = await run(process.execPath, [tsc, '--noEmit', '-p', folder]).then(
      () => '',
      (error: { stdout?: string }) => String(error.stdout),
    );
    const named = failure.replaceAll(/\S*block-(\d+)\.ts/g, (_, at: string) => found[Number(at)]!.at);
    assert.equal(named, '');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('every shell block is valid, and every Python block compiles', async (t) => {
  for (const { at, code } of inLanguage('sh')) await assert.doesNotReject(run('sh', ['-n', '-c', code]), at);
  const python = await run('python3', ['--version']).then(
    () => true,
    () => false,
  );
  if (!python) return t.diagnostic('Python blocks are not checked: install python3');
  for (const { at, code } of inLanguage('python')) {
    await assert.doesNotReject(run('python3', ['-c', 'import ast, sys; ast.parse(sys.argv[1])', code]), at);
  }
});

/** The commands of a block: one a line, without comments; a backslash continues a line. */
const commandsOf = ({ at, code }: Block): { at: string; command: string }[] =>
  code
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((command) => command !== '' && !command.startsWith('#'))
    .map((command) => ({ at, command }));

const commands = inLanguage('sh').flatMap(commandsOf);

/** Run elsewhere (npm start and npm test, examples), or they need another program, a shell or a machine of their own. */
const notRun =
  /^(?:npm (?:start|test|install|run bench)\b|export |alias |(?:SEEDS?|FIRST_SEED|MIXED_SEEDS)=|install |cp |useradd |mkdir |openssl |npx breakwater@|curl --unix-socket|(?:npx )?breakwater (?:record|import|health)|breakwater simulate --(?:diff|requests) |breakwater check --online|claude$|codex\b|sqlite3 |docker |podman |helm |kubectl |systemctl |sudo |node_modules\/\.bin\/node examples\/)/;
const starts = /^(?:npx )?breakwater(?: --demo| serve.*| --config .*| storm .*)?$/;
const isListing = (command: string): boolean => /--list-faults|--help|--version/.test(command);

test('the scripts and files of commands that are not run exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  for (const { at, command } of commands.filter((one) => notRun.test(one.command))) {
    const script = /\bnpm (?:run )?(start|test|bench)\b/.exec(command)?.[1];
    if (script !== undefined) assert.ok(script in scripts, at);
    for (const [path] of command.matchAll(/\b(?:examples|test|src)\/[\w./-]+/g)) assert.ok(existsSync(join(root, path)), `${at}: ${path}`);
  }
});

const folder = mkdtempSync(join(tmpdir(), 'breakwater-docs-'));
let demo: CliProcess;
let storm: Storm;
let url = '';

before(async () => {
  storm = await startStorm();
  demo = startCli(['serve', '--demo', '--port', '0'], { cwd: folder });
  url = (await demo.until('stdout', /listening on (http:\S+)/))[1]!;
  prepareFolder();
  await writeRequestLog();
});

after(async () => {
  demo.child.kill('SIGTERM');
  await demo.ended;
  await storm.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The files that the commands of the docs name. */
function prepareFolder(): void {
  const providers = Object.fromEntries(['openai', 'backup', 'groq'].map((name) => [name, { baseUrl: storm.url, apiKey: `key-${name}` }]));
  const config = { server: { port: 0 }, providers, models: { fast: ['openai/any'] }, store: 'memory:' };
  for (const name of ['breakwater.yaml', 'next.yaml', 'old.yaml', 'new.yaml']) writeFileSync(join(folder, name), JSON.stringify(config));
  const target = { attempts: 2, failures: 1, faults: [{ kind: 'overloaded', status: 503, probability: 0.5 }], phases: [] };
  mkdirSync(join(folder, 'outage'));
  const incident = { v: 1, from: 0, to: 60_000, sliceMs: 5_000, requests: 2, targets: { 'openai/any': target } };
  writeFileSync(join(folder, 'outage/incident.json'), JSON.stringify(incident));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const main = join(root, 'src/cli/main.ts');
  writeFileSync(join(bin, 'breakwater'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  writeFileSync(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n');
  for (const name of ['breakwater', 'npx']) chmodSync(join(bin, name), 0o755);
}

/** One request of a gateway with a request log. */
async function writeRequestLog(): Promise<void> {
  const breakwater = await createBreakwater({
    providers: { openai: { baseUrl: storm.url, apiKey: 'key' } },
    models: { fast: ['openai/any'] },
    telemetry: { requests: { file: join(folder, 'requests.jsonl') } },
  });
  const body = JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'Hello' }] });
  await (await breakwater.fetch('http://breakwater/v1/chat/completions', { method: 'POST', body })).text();
  await breakwater.close();
}

/** Runs a command of the docs as a reader would; rejects if its exit code is not 0. */
async function runCommand(command: string): Promise<string> {
  const id = await lastRequestId();
  const given = command
    .replaceAll('http://127.0.0.1:4747', url)
    .replaceAll(/REQUEST_ID|req_\w+/g, id)
    .replace(/^(breakwater (?:usage|why)\b)/, `$1 --url ${url}`)
    .replace(/^(breakwater batch run (?!.*--config).*)/, '$1 --config breakwater.yaml')
    .replaceAll(/minutes=\d+/g, 'minutes=2')
    .replaceAll(' examples/', ` ${root}/examples/`);
  const { PATH = '', HOME = '' } = process.env;
  const commandEnv = { PATH: `${join(folder, 'bin')}:${PATH}`, HOME, BREAKWATER_PORT: '0' };
  const { stdout } = await run('sh', ['-c', given], { cwd: folder, env: commandEnv, timeout: 120_000 });
  return stdout;
}

async function lastRequestId(): Promise<string> {
  const listed = (await (await fetch(`${url}/admin/requests`)).json()) as { requests: { id: string }[] };
  if (listed.requests.length > 0) return listed.requests[0]!.id;
  const body = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'Hello' }] });
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
  await response.text();
  return response.headers.get('x-request-id')!;
}

const seen = new Set<string>();
for (const { at, command } of commands) {
  if (notRun.test(command) || seen.has(command)) continue;
  seen.add(command);
  if (starts.test(command) && !isListing(command)) {
    test(`it starts, at ${at}: ${command}`, async () => {
      const args = command.replace(/^npx /, '').split(' ').slice(1).map(withoutQuotes);
      const named =
        args.includes('--config') || args.includes('storm') || args.includes('--demo') ? args : [...args, '--config', 'breakwater.yaml'];
      // On a free port.
      const free = named
        .map((arg, i) => (named[i - 1] === '--port' ? '0' : arg))
        .map((arg) => (arg.startsWith('examples/') ? join(root, arg) : arg));
      const cli = startCli(free.includes('--port') ? free : [...free, '--port', '0'], { cwd: folder });
      try {
        await cli.until('stdout', /listening on http:/);
      } finally {
        cli.child.kill('SIGTERM');
        await cli.ended;
      }
    });
    continue;
  }
  test(`it runs, at ${at}: ${command}`, { timeout: 150_000 }, async () => {
    const output = await runCommand(command);
    if (command.startsWith('curl')) assert.doesNotMatch(output, /"error"/);
  });
}

function withoutQuotes(arg: string): string {
  return arg.replaceAll(/^['"]|['"]$/g, '');
}
