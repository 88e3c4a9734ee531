import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../../test/cli/run-cli.ts';

const config = `
providers:
  main: { baseUrl: "https://main.example/v1", apiKey: "\${MAIN_API_KEY}", limits: { requestsPerMinute: 60 } }
  backup: { baseUrl: "https://backup.example/v1", apiKey: sk-1, limits: { requestsPerMinute: 30 } }
models: { fast: [main/big, backup/small] }
prices: { main/big: { input: 1, output: 2 } }
`;

async function folder(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'breakwater-'));
  for (const [name, text] of Object.entries({ 'breakwater.yaml': config, ...files })) await writeFile(join(made, name), text);
  return made;
}

interface Report {
  readonly notes: readonly string[];
  readonly scenarios: readonly {
    readonly without: string | null;
    readonly requests: number;
    readonly success: number;
    readonly costUsd: number | null;
    readonly byPriority: Readonly<Record<string, { readonly requests: number; readonly firstContentMs: { readonly p50: number } | null }>>;
    readonly targets: readonly {
      readonly target: string;
      readonly calls: number;
      readonly rateLimited: number;
      readonly outputTokens: number;
    }[];
    readonly errors: Readonly<Record<string, number>>;
  }[];
}

async function report(cwd: string, ...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await runCli(['simulate', '--json', ...args], { cwd });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Report;
}

test('a load runs against the config without a key, beside a run without a provider', async () => {
  const cwd = await folder();
  const args = ['simulate', '--load', 'rate=80,minutes=5,output=50,deadline=60s', '--without', 'main'];
  const { code, stdout, stderr } = await runCli(args, { cwd });
  assert.equal(code, 0, stderr);
  for (const words of ['all providers', 'without main', 'priority high', 'wait', 'target main/big: calls', 'tokens in / out', 'seed 1']) {
    assert.ok(stdout.includes(words), `${words} in\n${stdout}`);
  }
  assert.equal((await runCli(args, { cwd })).stdout, stdout, 'the same seed gives the same report');
  const { scenarios } = await report(cwd, ...args.slice(1));
  const [all, less] = scenarios;
  assert.deepEqual([all?.without, less?.without], [null, 'main']);
  assert.equal(less?.requests, all?.requests);
  assert.ok(less!.success < all!.success);
  assert.deepEqual(
    less!.targets.map(({ target }) => target),
    ['backup/small'],
  );
  assert.ok((less!.errors['rate_limited'] ?? 0) > 0);
  assert.ok(all!.costUsd! > 0);
  assert.equal(
    all!.targets.reduce((sum, { rateLimited }) => sum + rateLimited, 0),
    0,
  );
});

function record(i: number, more: object = {}): string {
  const attempt = { attempt: 1, target: 'main/big', atMs: 0, durationMs: 2_500, firstContentMs: 1_500, verdict: 'success', status: 200 };
  const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 50 };
  return JSON.stringify({
    v: 1,
    at: 1_760_000_000_000 + i * 2_000,
    id: `req_${i}`,
    operation: 'chat',
    model: 'fast',
    client: 'anonymous',
    priority: i % 2 === 0 ? 'high' : 'low',
    stream: true,
    deadlineMs: 600_000,
    inputTokens: 120,
    outputBound: null,
    outcome: 'success',
    durationMs: 2_500,
    attempts: [{ ...attempt, usage }],
    usage,
    ...more,
  });
}

test('a request log is replayed with its latencies; lines that cannot be replayed are reported with their number', async () => {
  const lines = Array.from({ length: 40 }, (_, i) => record(i));
  const others = ['{"v":1,"half', record(41, { durationMs: 'long' }), record(42, { attempts: [{ target: 'main/big' }] })];
  const text = [...lines, ...others, record(43, { operation: 'bytes' }), ''].join('\n');
  const { scenarios, notes } = await report(await folder({ 'r.jsonl': text }), '--requests', 'r.jsonl');
  const [all] = scenarios;
  assert.deepEqual([all?.requests, all?.success], [40, 40]);
  assert.equal(all?.byPriority['high']?.requests, 20);
  const firstMs = all.byPriority['high']?.firstContentMs?.p50 ?? 0;
  assert.ok(firstMs >= 1_500 && firstMs < 1_600, `${firstMs}`);
  assert.equal(all.targets[0]?.outputTokens, 40 * 50);
  assert.deepEqual(notes.slice(1, 6), [
    '3 lines that are not request records are skipped',
    '  line 41: not a JSON object (got {"v":1,"half)',
    '  line 42: `durationMs` must be a number (got "long")',
    '  line 43: `attempts` must be a list of objects with target, durationMs and usage (got [{"target":"main/big"}])',
    '1 requests other than chat, completions and embeddings are skipped',
  ]);
});

test('streaming and non-streaming calls have separate latencies: one slow stream does not affect the rest', async () => {
  const attempt = { attempt: 1, target: 'main/big', atMs: 0, durationMs: 1_000, firstContentMs: 1_000, verdict: 'success', status: 200 };
  const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 50 };
  const nonStreaming = { stream: false, deadlineMs: 10_000, durationMs: 1_000, attempts: [{ ...attempt, usage }] };
  const slow = { ...attempt, durationMs: 90_000, firstContentMs: 80_000, usage };
  const lines = [...Array.from({ length: 40 }, (_, i) => record(i, nonStreaming)), record(40, { durationMs: 90_000, attempts: [slow] })];
  const { scenarios } = await report(await folder({ 'r.jsonl': lines.join('\n') }), '--requests', 'r.jsonl');
  assert.deepEqual([scenarios[0]?.requests, scenarios[0]?.success], [41, 41]);
  const firstMs = scenarios[0]?.byPriority['low']?.firstContentMs?.p50 ?? 0;
  assert.ok(firstMs >= 900 && firstMs < 1_100, `${firstMs}`);
});

test('the report starts with which requests wait, for what, and which fail', async () => {
  const cwd = await folder();
  const args = ['simulate', '--load', 'rate=80,minutes=5,output=50,deadline=60s,high=0'];
  const { stdout } = await runCli([...args, '--without', 'main'], { cwd });
  const [first = '', ...others] = stdout.split('\n');
  assert.match(others.join('\n'), /^without main: `normal` waits \S+ \S+ at p95: backup's requestsPerMinute is the bottleneck$/m);
  assert.match(others.join('\n'), /^without main: \S+ % of `low` are not served, (all|most) of them \w+$/m);
  assert.doesNotMatch(first, /without/);
  const calm = await runCli(['simulate', '--load', 'rate=10,minutes=2'], { cwd });
  assert.match(calm.stdout, /^all requests are served, with p95 waits under one second\n\n/);
});

test('a load for an unknown model is not reported as served', async () => {
  const cwd = await folder();
  const { stdout } = await runCli(['simulate', '--load', 'rate=10,minutes=2,model=nope'], { cwd });
  assert.match(stdout, /^100\.0 % of all requests are rejected at once: model_not_found\n\n/);
});

test('retries of callers are simulated', async () => {
  const cwd = await folder();
  const [never] = (await report(cwd, '--load', 'rate=200,minutes=3,deadline=20s')).scenarios;
  const [twice] = (await report(cwd, '--load', 'rate=200,minutes=3,deadline=20s,retries=2')).scenarios;
  assert.ok(twice!.requests > never!.requests * 1.1, `${twice!.requests} and ${never!.requests}`);
  assert.ok(twice!.success >= never!.success, 'some retries succeed');
});

test('errors are reported on one line per fault, with exit code 1', async () => {
  const cwd = await folder({ 'old.jsonl': record(1, { v: 2 }), 'none.jsonl': 'hello\n' });
  const empty = await mkdtemp(join(tmpdir(), 'breakwater-'));
  for (const [args, expected, where] of [
    [['--load', 'rate=1', '--requests', 'r'], /^breakwater: give either --requests or --load\n$/, cwd],
    [['--load', 'rate=fast,speed=1'], /one of rate, minutes[^]*speed=1[^]*rate must be a number from /, cwd],
    [['--load', 'high=0.7,low=0.7'], /high and low together/, cwd],
    [['--load', 'deadline=soon'], /deadline must be a duration such as 30s \(got "soon"\)/, cwd],
    [['--without', 'nobody'], /no provider named "nobody"; there are main, backup/, cwd],
    [['--requests', 'nowhere.jsonl'], /nowhere\.jsonl: can't be read \(got ENOENT\)/, cwd],
    [['--requests', 'old.jsonl'], /line 1: a record of version 2; this Breakwater supports version 1/, cwd],
    [['--requests', 'none.jsonl'], /contains no request that can be replayed/, cwd],
    [['--config', 'nowhere.yaml'], /nowhere\.yaml: can't be read/, cwd],
    [['--seed', 'x'], /--seed/, cwd],
    [[], /no config found: name one with --config FILE/, empty],
  ] as const) {
    const { code, stdout, stderr } = await runCli(['simulate', ...args], { cwd: where });
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.match(stderr, expected);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});

test('help describes loads and the assumptions about providers', async () => {
  const { code, stdout } = await runCli(['simulate', '--help']);
  assert.equal(code, 0);
  for (const words of ['--requests', '--without', '--seed', '--json', 'deadline', '400 ms', 'Examples'])
    assert.ok(stdout.includes(words), words);
});

test('providers of every protocol are simulated', async () => {
  const mixed = `
providers:
  openai: { apiKey: k }
  anthropic: { apiKey: k }
  gemini: { apiKey: k }
models: { a: [anthropic/claude-sonnet-4-5], g: [gemini/gemini-2.5-flash], o: [openai/gpt-4o] }
`;
  const cwd = await folder({ 'mixed.yaml': mixed });
  const [all] = (await report(cwd, '--config', 'mixed.yaml', '--load', 'rate=60,minutes=2')).scenarios;
  assert.equal(all!.success, all!.requests, JSON.stringify(all!.errors));
  assert.equal(all!.targets.length, 3);
});

test('several keys that are not in the environment are different keys', async () => {
  const cwd = await folder({ 'breakwater.yaml': config.replace('apiKey: "${MAIN_API_KEY}"', 'apiKeys: ["${KEY_A}", "${KEY_B}"]') });
  assert.equal((await report(cwd, '--load', 'rate=60,minutes=1')).scenarios[0]?.requests, 59);
});
