/** `breakwater record incident`, and the replay of its files, as a new user runs them. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startStorm } from '../../src/storm/index.ts';
import { runCli, startCli } from './run-cli.ts';

const START = Date.parse('2026-05-01T12:00:00Z');
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const single = `
providers: { main: { baseUrl: "https://main.example/v1", apiKey: k } }
models: { fast: [main/big] }
policy: { maxAttempts: 1, breaker: { consecutiveFailures: 1000, failureRatio: 1, minRequests: 1000 } }
telemetry: { requests: { file: requests.jsonl } }
`;
const withBackup = `
providers:
  main: { baseUrl: "https://main.example/v1", apiKey: k }
  backup: { baseUrl: "https://backup.example/v1", apiKey: k }
models: { fast: [main/big, backup/small] }
`;

/** One request every two seconds for ten minutes: main fails from minute 4 to 6, and is slow from 6 to 8. */
function log(): string {
  return Array.from({ length: 300 }, (_, i) => {
    const atMs = i * 2 * SECOND;
    const isOut = atMs >= 4 * MINUTE && atMs < 6 * MINUTE;
    const firstContentMs = atMs >= 6 * MINUTE && atMs < 8 * MINUTE ? 6_000 : 300;
    const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 50 };
    const failed = { durationMs: 20, firstContentMs: null, verdict: 'retry', reason: 'overloaded', status: 503, usage: null };
    const served = { durationMs: firstContentMs + 700, firstContentMs, verdict: 'success', reason: null, status: 200, usage };
    return JSON.stringify({
      v: 1,
      at: START + atMs,
      id: `req_${i}`,
      operation: 'chat',
      model: 'fast',
      client: 'anonymous',
      stream: true,
      outcome: isOut ? 'failed' : 'success',
      durationMs: 1_000,
      attempts: [{ attempt: 1, target: 'main/big', credential: 1, atMs: 0, ...(isOut ? failed : served) }],
      usage: isOut ? null : usage,
    });
  }).join('\n');
}

interface Report {
  readonly scenarios: readonly {
    readonly requests: number;
    readonly success: number;
    readonly byPriority: { readonly normal: { readonly firstContentMs: { readonly p50: number; readonly p95: number } } };
    readonly targets: readonly { readonly target: string; readonly calls: number; readonly success: number }[];
  }[];
}

async function folder(): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-incident-'));
  await writeFile(join(cwd, 'breakwater.yaml'), single);
  await writeFile(join(cwd, 'backup.yaml'), withBackup);
  await writeFile(join(cwd, 'requests.jsonl'), log());
  return cwd;
}

async function replay(cwd: string, ...args: string[]): Promise<Report['scenarios'][number]> {
  const { code, stdout, stderr } = await runCli(['simulate', '--json', '--requests', 'incident/requests.jsonl', ...args], { cwd });
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as Report).scenarios[0]!;
}

test('an outage is replayed when it happened: with the old config it repeats, with a backup it is served', async () => {
  const cwd = await folder();
  const { code, stdout, stderr } = await runCli(['record', 'incident', '--from', '2026-05-01T12:01:00Z', '--to', '2026-05-01T12:09:00Z'], {
    cwd,
  });
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^240 requests from 2026-05-01T12:01:00\.000Z to 2026-05-01T12:09:00\.000Z, in slices of 5 s\n {2}main\/big: 240 calls, 60 failed\n/,
  );
  assert.equal((await stat(join(cwd, 'incident/requests.jsonl'))).mode & 0o077, 0, 'only its owner may read it');
  const { targets } = JSON.parse(await readFile(join(cwd, 'incident/incident.json'), 'utf8')) as {
    targets: Record<string, { faults: object[] }>;
  };
  assert.deepEqual(targets['main/big']!.faults, [{ kind: 'overloaded', status: 503, probability: 1, fromMs: 180_000, untilMs: 300_000 }]);

  const again = await replay(cwd, '--incident', 'incident/incident.json');
  assert.deepEqual([again.requests, again.success], [240, 180], 'the requests of the outage fail, and no others');
  assert.ok(
    again.byPriority.normal.firstContentMs.p50 < 1_000 && again.byPriority.normal.firstContentMs.p95 > 5_000,
    JSON.stringify(again),
  );
  const today = await replay(cwd, '--incident', 'incident/incident.json', '--config', 'backup.yaml');
  assert.equal(today.success, 240, JSON.stringify(today));
  const backup = today.targets.find(({ target }) => target === 'backup/small')!;
  assert.ok(backup.calls >= 55 && backup.calls <= 80, JSON.stringify(today.targets));
});

const gatewayConfig = (url: string): string => `
server: { port: 0 }
providers: { main: { baseUrl: "${url}", apiKey: k } }
models: { fast: [main/big], calm: [main/small] }
policy: { maxAttempts: 1, breaker: { consecutiveFailures: 1000, failureRatio: 1, minRequests: 1000 } }
`;

async function statusOf(url: string, model: string): Promise<number> {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] });
  const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await response.text();
  return response.status;
}

test('without a log the running gateway is recorded, and Storm behaves as its provider did', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-incident-'));
  const provider = await startStorm({ faults: [{ kind: '529', models: ['big'] }] });
  t.after(() => provider.close());
  await writeFile(join(cwd, 'breakwater.yaml'), gatewayConfig(provider.url));
  const gateway = startCli(['serve'], { cwd });
  t.after(() => gateway.child.kill());
  const [, url] = await gateway.until('stdout', /listening on (\S+)/);
  for (const model of ['fast', 'calm', 'fast']) await statusOf(`${url!}/v1`, model);
  const recorded = await runCli(['record', 'incident', '--from', '1h', '--url', url!], { cwd });
  assert.equal(recorded.code, 0, recorded.stderr);
  assert.match(recorded.stdout, /^3 requests from [^]*main\/big: 2 calls, 2 failed\n[^]*storm --scenario incident\/incident\.json/);

  const storm = startCli(['storm', '--scenario', 'incident/incident.json', '--provider', 'main'], { cwd });
  t.after(() => storm.child.kill());
  const [, address] = await storm.until('stdout', /listening on (\S+)/);
  assert.match(storm.stderr(), /^replaying 60 min from \S+ for big, small; POST \/storm\/reset starts it again\n/);
  assert.deepEqual(await Promise.all(['big', 'small', 'big', 'other'].map((model) => statusOf(address!, model))), [529, 200, 529, 200]);
  const other = await runCli(['storm', '--scenario', 'incident/incident.json', '--provider', 'nope'], { cwd });
  assert.deepEqual([other.code, /no target of nope; it has main/.test(other.stderr)], [1, true], other.stderr);
});

test('what cannot be recorded or replayed is one line with its remedy', async () => {
  const cwd = await folder();
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['record', 'incident', '--from', 'x'], /--from: must be a date such as/],
    [['record', 'incident', '--from', '2020-01-01', '--to', '2020-01-02'], /no request from 2020-01-01/],
    [['record', 'incident', '--from', '1h', '--to', '2h'], /--to must be later/],
    [['record', 'incident', '--from', '1h', '--file', 'none.jsonl'], /none\.jsonl: can't be read \(got ENOENT\)/],
    [
      ['record', 'incident', '--from', '1h', '--config', 'backup.yaml'],
      /cannot be reached[^]*no request log either: set telemetry\.requests\.file/,
    ],
    [['storm', '--provider', 'main'], /--provider needs --scenario/],
    [['storm', '--scenario', 'breakwater.yaml'], /is not an incident of this version/],
    [['simulate', '--incident', 'x.json'], /--incident needs --requests/],
    [['simulate', '--requests', 'requests.jsonl', '--incident', 'breakwater.yaml'], /is not an incident of this version/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stderr } = await runCli(args, { cwd });
    assert.equal(code, 1, args.join(' '));
    assert.match(stderr, pattern);
  }
});

test('a recording and the log that it reads are never replaced, and a failed one leaves nothing', async () => {
  const cwd = await folder();
  const record = (...args: string[]) =>
    runCli(['record', 'incident', '--from', '2026-05-01T12:01:00Z', '--to', '2026-05-01T12:09:00Z', ...args], { cwd });
  const none = await runCli(['record', 'incident', '--from', '2020-01-01T00:00:00Z', '--to', '2020-01-01T01:00:00Z'], { cwd });
  assert.equal(none.code, 1);
  assert.match(none.stderr, /no request from/);
  assert.deepEqual(await readdir(join(cwd, 'incident')), []);
  assert.equal((await record()).code, 0);
  const before = await readFile(join(cwd, 'incident/requests.jsonl'), 'utf8');
  const again = await record('--file', 'incident/requests.jsonl');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /incident\/requests\.jsonl exists: name another folder with --out/);
  assert.equal(await readFile(join(cwd, 'incident/requests.jsonl'), 'utf8'), before);
  const intoFile = await record('--out', 'requests.jsonl');
  assert.equal(intoFile.code, 1);
  assert.match(intoFile.stderr, /--out: the recording can't be written \(got (EEXIST|ENOTDIR)\)/);
});
