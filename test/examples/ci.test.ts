/** The workflow `examples/ci/breakwater.yml`: the commands in its steps run as written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');

interface Job {
  readonly env: Readonly<Record<string, string>>;
  readonly steps: readonly { readonly run?: string; readonly if?: string; readonly env?: Readonly<Record<string, string>> }[];
}

interface Workflow {
  readonly jobs: Readonly<Record<string, Job>>;
}

const workflow = parse(readFileSync(join(root, 'examples/ci/breakwater.yml'), 'utf8')) as Workflow;

const config = (rate: number) => `
server: { port: "\${PORT:-4747}" }
providers:
  main: { baseUrl: "https://main.example/v1", apiKeys: ["\${MAIN_API_KEY}", "\${key_B}"], limits: { requestsPerMinute: ${rate} } }
store: "\${REDIS_URL}"
clients: [{ name: anonymous, key: "\${WEB}" }]
models: { fast: [main/big] }
prices: { main/big: { input: 1, output: 2 } }
`;

function record(i: number): string {
  const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 50 };
  const attempt = { attempt: 1, target: 'main/big', atMs: 0, durationMs: 500, firstContentMs: 200, verdict: 'success', status: 200, usage };
  return JSON.stringify({
    v: 1,
    at: 1_760_000_000_000 + i * 1_000,
    operation: 'chat',
    model: 'fast',
    client: 'anonymous',
    stream: true,
    outcome: 'success',
    durationMs: 500,
    attempts: [attempt],
    usage,
  });
}

/** A repository with the change, and commands that stand in for the runner's. */
function prepare(before: string, after: string): { cwd: string; env: Record<string, string> } {
  const cwd = mkdtempSync(join(tmpdir(), 'breakwater-ci-'));
  const bin = join(cwd, 'bin');
  mkdirSync(bin);
  const scripts = {
    npx: `#!/bin/sh\nshift 2\nexec "${process.execPath}" "${join(root, 'src/cli/main.ts')}" "$@"\n`,
    git: `#!/bin/sh\ncat before.yaml\n`,
    gh: `#!/bin/sh\necho "$@" > gh.txt\n`,
  };
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), text);
    chmodSync(join(bin, name), 0o755);
  }
  writeFileSync(join(cwd, 'before.yaml'), before);
  writeFileSync(join(cwd, 'breakwater.yaml'), after);
  writeFileSync(join(cwd, 'yesterday.jsonl'), Array.from({ length: 200 }, (_, i) => record(i)).join('\n'));
  writeFileSync(join(cwd, 'github-env'), '');
  const env = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    GITHUB_BASE_REF: 'main',
    GITHUB_REPOSITORY: 'acme/gateway',
    GITHUB_ENV: join(cwd, 'github-env'),
    GITHUB_STEP_SUMMARY: join(cwd, 'summary.md'),
    RUNNER_TEMP: cwd,
  };
  return { cwd, env };
}

/** Runs the steps as the runner does: one that fails skips those without `always()`, whose code is null then. */
function runSteps(before: string, after: string, { fork = false } = {}): { codes: (number | null)[]; cwd: string; errors: string } {
  const { cwd, env } = prepare(before, after);
  const { env: jobEnv, steps } = workflow.jobs['what-if']!;
  const values: Readonly<Record<string, string>> = {
    'github.event.number': '7',
    'github.event.pull_request.head.repo.full_name': fork ? 'someone/gateway' : 'acme/gateway',
    'github.token': 'token',
  };
  const fill = (text: string): string => text.replaceAll(/\$\{\{ (.*?) \}\}/g, (_, name: string) => values[name]!);
  const codes: (number | null)[] = [];
  let errors = '';
  for (const step of steps) {
    if (step.run === undefined) continue;
    if (step.if !== 'always()' && codes.some((code) => code !== 0)) {
      codes.push(null);
      continue;
    }
    const own = Object.fromEntries(Object.entries(step.env ?? {}).map(([name, text]) => [name, fill(text)]));
    const exported = Object.fromEntries(linesOf(env['GITHUB_ENV']!).map((line) => line.split('=', 2) as [string, string]));
    const { status, stderr } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', fill(step.run)], {
      cwd,
      env: { ...env, ...jobEnv, ...exported, ...own },
      encoding: 'utf8',
    });
    codes.push(status);
    errors += stderr;
  }
  return { codes, cwd, errors };
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

test('a change that keeps the figures passes, and its table is the comment', () => {
  const { codes, cwd, errors } = runSteps(config(70), config(90));
  assert.deepEqual(codes, [0, 0, 0, 0], errors);
  const table = readFileSync(join(cwd, 'diff.md'), 'utf8');
  assert.match(table, /^\| \| before \| after \| change \|\n\|---\|---:\|---:\|---:\|\n\| requests \| 200 \| 200 \| 0 \|/);
  assert.match(table, /All thresholds are met\./);
  assert.equal(readFileSync(join(cwd, 'summary.md'), 'utf8'), table);
  assert.match(readFileSync(join(cwd, 'gh.txt'), 'utf8'), /^pr comment 7 --body-file diff\.md/);
});

test('a change that makes requests wait fails, and the table says why', () => {
  const { codes, cwd } = runSteps(config(70), config(20));
  assert.deepEqual(codes, [0, 0, 1, 0]);
  assert.match(readFileSync(join(cwd, 'diff.md'), 'utf8'), /\*\*exceeded\*\*: the p95 wait of normal rises from/);
});

test('an invalid config fails, without a comment', () => {
  const { codes, cwd } = runSteps(config(70), 'providers: { main: { limit: 1 } }');
  assert.deepEqual(codes, [0, 1, null, 0]);
  assert.equal(existsSync(join(cwd, 'gh.txt')), false);
});

test('a pull request from a fork, whose token may not comment, passes without a comment', () => {
  const { codes, cwd, errors } = runSteps(config(70), config(90), { fork: true });
  assert.deepEqual(codes, [0, 0, 0, 0], errors);
  assert.equal(readFileSync(join(cwd, 'summary.md'), 'utf8'), readFileSync(join(cwd, 'diff.md'), 'utf8'));
  assert.equal(existsSync(join(cwd, 'gh.txt')), false);
});
