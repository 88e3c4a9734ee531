/** The workflow `examples/ci/breakwater.yml`: the commands in its steps run as written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly name?: string; readonly run?: string }[] }>>;
}

const workflow = parse(readFileSync(join(root, 'examples/ci/breakwater.yml'), 'utf8')) as Workflow;

const config = (rate: number) => `
providers:
  main: { baseUrl: "https://main.example/v1", apiKey: "\${MAIN_API_KEY}", limits: { requestsPerMinute: ${rate} } }
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
  const env = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    GITHUB_BASE_REF: 'main',
    GITHUB_STEP_SUMMARY: join(cwd, 'summary.md'),
    RUNNER_TEMP: cwd,
  };
  return { cwd, env };
}

function runSteps(before: string, after: string): { codes: (number | null)[]; cwd: string; errors: string } {
  const { cwd, env } = prepare(before, after);
  const codes: (number | null)[] = [];
  let errors = '';
  for (const { run } of workflow.jobs['what-if']!.steps) {
    if (run === undefined) continue;
    const { status, stderr } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', run.replaceAll(/\$\{\{.*?\}\}/g, '7')], {
      cwd,
      env,
      encoding: 'utf8',
    });
    codes.push(status);
    errors += stderr;
  }
  return { codes, cwd, errors };
}

test('a change that keeps the figures passes, and its table is the comment', () => {
  const { codes, cwd, errors } = runSteps(config(70), config(90));
  assert.deepEqual(codes, [0, 0, 0], errors);
  const table = readFileSync(join(cwd, 'diff.md'), 'utf8');
  assert.match(table, /^\| \| before \| after \| change \|\n\|---\|---:\|---:\|---:\|\n\| requests \| 200 \| 200 \| 0 \|/);
  assert.match(table, /All thresholds are met\./);
  assert.equal(readFileSync(join(cwd, 'summary.md'), 'utf8'), table);
  assert.match(readFileSync(join(cwd, 'gh.txt'), 'utf8'), /^pr comment 7 --body-file diff\.md/);
});

test('a change that makes requests wait fails, and the table says why', () => {
  const { codes, cwd } = runSteps(config(70), config(20));
  assert.deepEqual(codes, [0, 1, 0]);
  assert.match(readFileSync(join(cwd, 'diff.md'), 'utf8'), /\*\*exceeded\*\*: the p95 wait of normal rises from/);
});

test('an invalid config fails', () => {
  assert.equal(runSteps(config(70), 'providers: { main: { limit: 1 } }').codes[0], 1);
});
