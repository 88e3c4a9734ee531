/**
 * A large batch on Storm with limits and faults: the allowed rate, flat memory, one result each. `BATCH_ITEMS=50000 BATCH_RATE=10000` makes it
 * as large as OpenAI's largest, at 167 a second.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { toFile } from 'openai';
import type { StormStats } from '../../src/storm/stats.ts';
import { startCli } from '../cli/run-cli.ts';
import { chatLine } from '../e2e/batch-provider.ts';

const ITEMS = Number(process.env['BATCH_ITEMS'] ?? 5_000);
const PER_MINUTE = Number(process.env['BATCH_RATE'] ?? 9_000);
const MB = 1024 * 1024;
const isLinux = process.platform === 'linux';
const FINAL = ['completed', 'failed', 'expired'];
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024;
}

async function stage(t: TestContext) {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-batch-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  const limits = ['--requests-per-minute', String(PER_MINUTE), '--burst', '0.02'];
  const faults = ['--fault', '500;probability=0.02', '--fault', 'reset;probability=0.005'];
  const storm = startCli(['storm', ...limits, ...faults, '--plain-ms', '100', '--tokens', '20'], { cwd });
  t.after(() => storm.child.kill('SIGKILL'));
  const [, stormUrl] = await storm.until('stdout', /(http:\S+\/v1)/);
  const provider = {
    protocol: 'openai',
    baseUrl: stormUrl,
    apiKey: 'sk-test',
    limits: { requestsPerMinute: PER_MINUTE, burst: 0.02, concurrency: 500 },
  };
  const config = { server: { port: 0 }, providers: { a: provider }, models: { fast: ['a/m'] }, telemetry: { logs: { level: 'error' } } };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
  const cli = startCli(['serve'], { cwd });
  t.after(() => cli.child.kill('SIGKILL'));
  const [, base] = await cli.until('stdout', /listening on (\S+)/);
  const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 120_000 });
  const stats = async (): Promise<StormStats> => (await fetch(stormUrl!.replace('/v1', '/storm/stats'))).json() as Promise<StormStats>;
  return { openai, base: base!, pid: cli.child.pid!, stats, cli };
}

test('a batch runs at the allowed rate in flat memory, each with one result', { skip: !isLinux, timeout: 600_000 }, async (t) => {
  const { openai, pid, stats, cli } = await stage(t);
  const text = Array.from({ length: ITEMS }, (_, n) => chatLine(`c${n}`, `Say ${n}. ${'x'.repeat(400)}`, { max_tokens: 20 })).join('\n');
  const idle = await rssOf(pid);
  const startedAt = performance.now();
  const since = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
  t.diagnostic(`uploaded ${(file.bytes / MB).toFixed(1)} MB after ${since()}`);
  let batch = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  let most = 0;
  const figures: number[] = [];
  let state: string = batch.status;
  let begun = 0;
  /** When a tenth, and nine tenths, were done: beginning and end say little of the rate. */
  const marks: { at: number; done: number }[] = [];
  while (!FINAL.includes(batch.status)) {
    await wait(250);
    batch = await openai.batches.retrieve(batch.id);
    const rss = await rssOf(pid);
    most = Math.max(most, rss);
    const done = batch.request_counts!.completed / ITEMS;
    if (done >= (marks.length === 0 ? 0.1 : 0.9) && marks.length < 2) marks.push({ at: performance.now(), done });
    if (done >= (figures.length + 1) / 4) figures.push(rss);
    if (batch.status === state) continue;
    state = batch.status;
    if (state === 'in_progress') begun = performance.now();
    t.diagnostic(`${state} after ${since()}, ${(rss / MB).toFixed(0)} MB`);
  }
  const seconds = (performance.now() - begun) / 1000;
  const seen = await stats();
  const [from, to] = marks;
  const share = ((to!.done - from!.done) * seen.calls * 1000) / (to!.at - from!.at) / (PER_MINUTE / 60);
  t.diagnostic(
    `${ITEMS} items in ${seconds.toFixed(1)} s: ${seen.calls} calls, ${(share * 100).toFixed(1)} % of the allowed rate, limit violations ${seen.violations.total}`,
  );
  const quarters = figures.map((rss) => (rss / MB).toFixed(0)).join(', ');
  t.diagnostic(`memory: idle ${(idle / MB).toFixed(0)} MB, after each quarter ${quarters} MB, most ${(most / MB).toFixed(0)} MB`);
  assert.equal(cli.stderr(), '');
  const { total, completed, failed } = batch.request_counts!;
  assert.deepEqual([total, completed, failed], [ITEMS, ITEMS, 0]);
  const ids = new Set<string>();
  const output = await (await openai.files.content(batch.output_file_id!)).text();
  for (const line of output.trimEnd().split('\n')) ids.add((JSON.parse(line) as { custom_id: string }).custom_id);
  assert.equal(ids.size, ITEMS);
  assert.equal(seen.byStatus['200'], ITEMS, 'no item was answered twice');
  assert.ok(share >= 0.95, `${share}`);
  assert.ok(figures.at(-1)! - figures[1]! < 64 * MB, `${quarters} MB`);
});

const ALONE_MS = 10_000;
/** Beside callers, a batch is smaller unless its size is given. */
const ITEMS_BESIDE = Number(process.env['BATCH_ITEMS'] ?? 3_000);

/** Callers at a tenth of the limit until `isOver`: how long each waited for its permit, in milliseconds. */
async function callUntil(base: string, isOver: () => boolean): Promise<number[]> {
  const waits: number[] = [];
  const calls: Promise<void>[] = [];
  const everyMs = 600_000 / PER_MINUTE;
  const body = JSON.stringify({ model: 'fast', max_tokens: 20, messages: [{ role: 'user', content: 'Hello.' }] });
  const call = async (): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${base}/v1/chat/completions`, { method: 'POST', headers, body });
    assert.equal(response.status, 200, await response.text());
    waits.push(Number(response.headers.get('x-breakwater-queue-ms')));
  };
  for (const startedAt = performance.now(); !isOver();) {
    calls.push(call());
    await wait(Math.max(0, startedAt + calls.length * everyMs - performance.now()));
  }
  await Promise.all(calls);
  return waits;
}

const p95 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)]!;

test('beside a batch callers wait no longer, and the rest of the limit is used', { skip: !isLinux, timeout: 600_000 }, async (t) => {
  const { openai, base, pid, stats } = await stage(t);
  const aloneUntil = performance.now() + ALONE_MS;
  const callsAlone = await callUntil(base, () => performance.now() >= aloneUntil);
  const alone = p95(callsAlone);
  const text = Array.from({ length: ITEMS_BESIDE }, (_, n) => chatLine(`c${n}`, `Say ${n}.`, { max_tokens: 20 })).join('\n');
  const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
  let batch = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const waiting = callUntil(base, () => FINAL.includes(batch.status));
  const marks: { at: number; calls: number }[] = [];
  const quarters: number[] = [];
  while (!FINAL.includes(batch.status)) {
    await wait(250);
    batch = await openai.batches.retrieve(batch.id);
    const done = batch.request_counts!.completed / ITEMS_BESIDE;
    if (done >= (marks.length === 0 ? 0.1 : 0.9) && marks.length < 2) marks.push({ at: performance.now(), calls: (await stats()).calls });
    if (done >= (quarters.length + 1) / 4) quarters.push(await rssOf(pid));
  }
  const waits = await waiting;
  const seen = await stats();
  const [from, to] = marks;
  const share = ((to!.calls - from!.calls) * 1000) / (to!.at - from!.at) / (PER_MINUTE / 60);
  const beside = p95(waits);
  t.diagnostic(`${ITEMS_BESIDE} items beside ${waits.length} calls: ${(share * 100).toFixed(1)} % of the allowed rate`);
  t.diagnostic(`p95 of callers ${alone} ms alone, ${beside} ms beside; limit violations ${seen.violations.total}`);
  t.diagnostic(`memory after each quarter ${quarters.map((rss) => (rss / MB).toFixed(0)).join(', ')} MB`);
  assert.deepEqual([batch.status, batch.request_counts!.completed], ['completed', ITEMS_BESIDE]);
  assert.equal(seen.byStatus['200'], ITEMS_BESIDE + callsAlone.length + waits.length, 'no request was answered twice');
  assert.ok(beside - alone <= Math.max(50, 60_000 / PER_MINUTE), `${beside - alone} ms longer`);
  assert.ok(share >= 0.85, `${share}`);
});

test('a message batch of 250 MB is received in bounded memory', { skip: !isLinux, timeout: 600_000 }, async (t) => {
  const { base, pid } = await stage(t);
  const idle = await rssOf(pid);
  const quarters: number[] = [];
  const filler = 'x'.repeat(24_000);
  const request = (n: number): string =>
    `${n === 0 ? '' : ','}{"custom_id":"c${n}","params":{"model":"fast","max_tokens":1,"messages":[{"role":"user","content":"${filler}"}]}}`;
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{"requests":[');
    for (let n = 0; n < 10_000; n++) {
      yield Buffer.from(request(n));
      if (n % 2_500 === 2_499) quarters.push(await rssOf(pid));
    }
    yield Buffer.from(']}');
  }
  const init = { method: 'POST', body: body(), duplex: 'half' } as unknown as RequestInit;
  const startedAt = performance.now();
  const response = await fetch(`${base}/v1/messages/batches`, init);
  const seconds = (performance.now() - startedAt) / 1000;
  const batch = (await response.json()) as { id: string; request_counts: { processing: number } };
  assert.deepEqual([response.status, batch.request_counts.processing], [200, 10_000]);
  const figures = quarters.map((rss) => (rss / MB).toFixed(0)).join(', ');
  t.diagnostic(`230 MB in ${seconds.toFixed(1)} s; memory: idle ${(idle / MB).toFixed(0)} MB, after each quarter ${figures} MB`);
  assert.ok(quarters[3]! - quarters[1]! < 64 * MB && quarters[3]! - idle < 200 * MB, figures);
  await fetch(`${base}/v1/messages/batches/${batch.id}/cancel`, { method: 'POST' });
});
