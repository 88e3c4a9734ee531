import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EventBus } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { attempt, attemptEnd, failedAttempt, finished, queued, received } from './events.fixture.ts';
import type { LineSink } from './line-queue.ts';
import { createTelemetry, type TelemetryOptions } from './telemetry.ts';

function memorySink(): LineSink & { lines(): Record<string, unknown>[]; text: string } {
  return {
    text: '',
    write(text, done) {
      this.text += text;
      done(null);
    },
    lines() {
      return this.text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
  };
}

function setUp(change: Partial<TelemetryOptions> & { level?: 'debug' | 'info' | 'warn' | 'silent' } = {}) {
  const clock = createManualClock({ epochMs: 1_700_000_000_000 });
  const sink = memorySink();
  const telemetry = createTelemetry({
    logs: { level: change.level ?? 'info', destination: sink },
    requests: { file: '' },
    clock,
    secrets: [],
    ...change,
  });
  const bus = new EventBus((error) => {
    throw error;
  });
  const detach = telemetry.attach(bus);
  return { bus, clock, detach, sink, telemetry };
}

test('at info an attempt and its request give one line each, with the same request id', async () => {
  const { bus, sink, telemetry } = setUp();
  for (const event of [received(), queued(), attempt(), attemptEnd(), finished()]) bus.emit(event);
  await telemetry.flush();
  assert.deepEqual(sink.lines(), [
    {
      level: 'info',
      time: '2023-11-14T22:13:20.000Z',
      event: 'attempt_end',
      requestId: 'req-1',
      attempt: 1,
      target: 'openai/gpt',
      credential: 1,
      verdict: 'success',
      status: 200,
      durationMs: 500,
      firstContentMs: 120,
      inputTokens: 240,
      outputTokens: 60,
      upstreamRequestId: 'up-1',
      msg: 'attempt ended',
    },
    {
      level: 'info',
      time: '2023-11-14T22:13:20.000Z',
      event: 'finished',
      requestId: 'req-1',
      outcome: 'success',
      status: 200,
      model: 'fast',
      client: 'web',
      priority: 'normal',
      operation: 'chat',
      stream: false,
      target: 'openai/gpt',
      attempts: 1,
      queueMs: 0,
      durationMs: 500,
      firstContentMs: 120,
      inputTokens: 240,
      outputTokens: 60,
      costUsd: 0.002,
      msg: 'request finished',
    },
  ]);
});

test('a line is valid JSON for any names and numbers', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'debug' });
  const odd = 'a "b"\\\n\u2028\ud800';
  bus.emit(received({ model: odd, client: odd, deadlineMs: Infinity }));
  bus.emit(failedAttempt(odd, { requestId: odd, target: odd, upstreamRequestId: odd, durationMs: Number.NaN }));
  bus.emit(finished({ model: odd, client: odd, target: odd, queueMs: Infinity, costUsd: Number.NaN }));
  await telemetry.flush();
  const [first, second, third] = sink.lines();
  assert.equal(first!['model'], odd);
  assert.equal(second!['error'], odd);
  assert.equal(second!['durationMs'], undefined);
  assert.equal(third!['costUsd'], undefined);
});

test('at debug every event gives a line, and a wait names its blockers', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'debug' });
  const told = [received(), queued(), attempt(), attemptEnd(), finished()];
  for (const event of told) bus.emit(event);
  await telemetry.flush();
  assert.deepEqual(
    sink.lines().map((line) => line['event']),
    told.map((event) => event.type),
  );
  assert.deepEqual(sink.lines()[1]!['blockers'], ['openai/gpt: tokens, free in 1200 ms']);
});

test('at warn only events that may need attention give a line', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'warn' });
  bus.emit(attemptEnd());
  bus.emit(finished());
  bus.emit({ type: 'breaker', at: 0, target: 'a/b', from: 'half-open', to: 'closed', openForMs: null });
  bus.emit(failedAttempt('slow down'));
  bus.emit(finished({ outcome: 'failed', status: 502, code: 'all_targets_failed' }));
  bus.emit({ type: 'breaker', at: 0, target: 'a/b', from: 'closed', to: 'open', openForMs: 5_000 });
  bus.emit({ type: 'cooldown', at: 0, subject: 'a#1', kind: 'quarantine', forMs: 60_000, reason: 'auth' });
  bus.emit({ type: 'lifecycle', at: 0, state: 'reload_failed', detail: 'policy.deadline' });
  await telemetry.flush();
  assert.deepEqual(
    sink.lines().map((line) => [line['level'], line['msg']]),
    [
      ['warn', 'attempt ended'],
      ['warn', 'request finished'],
      ['warn', 'breaker changed'],
      ['warn', 'cooling down'],
      ['error', 'reload failed'],
    ],
  );
});

test('silent writes nothing', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'silent' });
  bus.emit(finished());
  telemetry.log.error('not logged');
  await telemetry.flush();
  assert.equal(sink.text, '');
});

test('the level can change while it runs', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'warn' });
  bus.emit(finished());
  telemetry.update({ level: 'info' });
  bus.emit(finished({ requestId: 'req-2' }));
  await telemetry.flush();
  assert.deepEqual(
    sink.lines().map((line) => line['requestId']),
    ['req-2'],
  );
});

test('lines are written after the turn, not during it', () => {
  const { bus, clock, sink } = setUp();
  bus.emit(finished());
  assert.equal(sink.text, '');
  clock.advance(0);
  assert.equal(sink.lines().length, 1);
});

test('after detaching nothing is recorded', async () => {
  const { bus, detach, sink, telemetry } = setUp();
  detach();
  bus.emit(finished());
  await telemetry.flush();
  assert.equal(sink.text, '');
});

test('no secret that a provider or an operator echoes reaches the log, the timeline or the requests file', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'requests.jsonl');
  const secret = 'my "odd" secret';
  const { bus, sink, telemetry } = setUp({ level: 'debug', secrets: [secret], requests: { file: path } });
  const echoed = `Incorrect API key provided: sk-proj-abcdef1234567890. You sent ${secret}.`;
  bus.emit(received());
  bus.emit(failedAttempt(echoed));
  bus.emit({ type: 'note', at: 1, requestId: 'req-1', note: echoed });
  const timeline = telemetry.timelines.get('req-1');
  bus.emit(finished());
  bus.emit({ type: 'warning', at: 2, message: echoed, detail: echoed });
  telemetry.log.warn({ err: new Error(echoed), nested: { text: echoed } }, echoed);
  await telemetry.close();
  for (const text of [sink.text, JSON.stringify(timeline), await readFile(path, 'utf8')]) {
    assert.ok(text.length > 100);
    assert.doesNotMatch(text, /abcdef1234567890|odd/);
  }
  assert.equal(sink.lines().length, 6);
});

test('a key in place of a model name is masked in the log and the timeline', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'debug', secrets: ['client-key-0001'] });
  bus.emit({ ...received(), model: 'client-key-0001' });
  bus.emit({ ...finished(), model: 'client-key-0001' });
  await telemetry.flush();
  assert.equal(sink.lines().length, 2);
  assert.doesNotMatch(sink.text + JSON.stringify(telemetry.timelines.get('req-1')), /client-key-0001/);
});

test('secrets added by a reload are masked too', async () => {
  const { bus, sink, telemetry } = setUp();
  telemetry.update({ secrets: ['correct horse'] });
  bus.emit({ type: 'warning', at: 0, message: 'refused: correct horse' });
  telemetry.log.info('again: correct horse');
  await telemetry.flush();
  assert.deepEqual(
    sink.lines().map((line) => line['msg']),
    ['refused: [redacted]', 'again: [redacted]'],
  );
});

test('every finished request gives one record, and reopen switches from a renamed file to a new one', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'requests.jsonl');
  const { bus, clock, telemetry } = setUp({ requests: { file: path } });
  clock.advance(250);
  bus.emit(received({ at: 250, outputBound: 100 }));
  bus.emit(attemptEnd({ at: 750 }));
  bus.emit(finished({ at: 750 }));
  await telemetry.flush();
  await rename(path, `${path}.1`);
  telemetry.reopen();
  bus.emit(received({ requestId: 'req-2' }));
  bus.emit(finished({ requestId: 'req-2' }));
  await telemetry.close();
  const usage = { inputTokens: 240, cachedInputTokens: 40, outputTokens: 60 };
  assert.deepEqual(JSON.parse(await readFile(`${path}.1`, 'utf8')), {
    v: 1,
    at: 1_700_000_000_250,
    id: 'req-1',
    protocol: 'openai',
    operation: 'chat',
    model: 'fast',
    client: 'web',
    priority: 'normal',
    stream: false,
    deadlineMs: 600_000,
    bodyBytes: 1_000,
    inputTokens: 250,
    outputBound: 100,
    outcome: 'success',
    status: 200,
    code: null,
    target: 'openai/gpt',
    fallback: null,
    cache: null,
    attemptCount: 1,
    attempts: [
      {
        attempt: 1,
        target: 'openai/gpt',
        credential: 1,
        atMs: 0,
        durationMs: 500,
        firstContentMs: 120,
        verdict: 'success',
        reason: null,
        status: 200,
        usage,
      },
    ],
    queueMs: 0,
    durationMs: 500,
    firstContentMs: 120,
    usage,
    costUsd: 0.002,
  });
  assert.equal(JSON.parse(await readFile(path, 'utf8')).id, 'req-2');
});

test('an unwritable request log gives one warning, and the lost records are counted once it is writable', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'later', 'requests.jsonl');
  const { bus, sink, telemetry } = setUp({ level: 'warn', requests: { file: path } });
  for (const requestId of ['req-1', 'req-2']) {
    bus.emit(finished({ requestId }));
    await telemetry.flush();
  }
  assert.equal(sink.lines().length, 1);
  assert.match(String(sink.lines()[0]!['error']), /ENOENT/);
  await import('node:fs/promises').then(({ mkdir }) => mkdir(join(folder, 'later')));
  bus.emit(finished({ requestId: 'req-3' }));
  await telemetry.close();
  assert.equal(JSON.parse(await readFile(path, 'utf8')).id, 'req-3');
  assert.deepEqual(
    sink.lines().map((line) => line['dropped']),
    [undefined, 2],
  );
});

test('with a stuck log sink events continue, memory is bounded and lost lines are counted', async () => {
  const { bus, clock, telemetry } = setUp({ logs: { level: 'info', destination: { write() {} } } });
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 60_000; i++) {
    bus.emit(finished({ requestId: `req-${i}` }));
    if (i % 100 === 0) clock.advance(1);
  }
  assert.ok(process.memoryUsage().heapUsed - before < 100e6);
  const dropped = Number(/log_lines_dropped_total (\d+)/.exec(await telemetry.metrics.scrape())![1]);
  assert.ok(dropped > 40_000 && dropped < 60_000);
  const closed = telemetry.close();
  await clock.advanceAsync(5_000);
  await closed;
});

const rejected = {
  type: 'rejected',
  at: 0,
  status: 401,
  code: 'invalid_api_key',
  message: 'no',
  method: 'GET',
  path: '/v1/models',
  protocol: 'openai',
  operation: 'bytes',
  model: null,
  client: null,
} as const;

test('rejected requests are logged, in bounded number, and all of them are counted', async () => {
  const { bus, clock, sink, telemetry } = setUp();
  for (let i = 0; i < 1000; i++) bus.emit({ ...rejected, requestId: `r${i}` });
  clock.advance(1_000);
  bus.emit({ ...rejected, requestId: 'last' });
  await telemetry.flush();
  const lines = sink.lines();
  assert.equal(lines.length, 22);
  assert.equal(lines[0]!['code'], 'invalid_api_key');
  assert.equal(lines[20]!['suppressed'], 980);
  assert.match(await telemetry.metrics.scrape(), /breakwater_requests_total\{.*code="invalid_api_key"\} 1001/);
  assert.equal(telemetry.timelines.get('last')?.status, 401);
  assert.equal(telemetry.timelines.list({ limit: 1_000 }).length, 500);
});

test('the number of rejected requests without a line follows at the end of their second, or at the end', async () => {
  const { bus, clock, sink, telemetry } = setUp();
  const reject = (count: number): void => {
    for (let i = 0; i < count; i++) bus.emit({ ...rejected, requestId: `r${i}` });
  };
  reject(21);
  clock.advance(1_000);
  await telemetry.flush();
  assert.equal(sink.lines().at(-1)!['suppressed'], 1);
  reject(22);
  await telemetry.close();
  assert.equal(sink.lines().at(-1)!['suppressed'], 2);
  assert.equal(clock.pendingTimers, 0);
});

test('a line has ISO times, no nulls and rounded numbers', async () => {
  const { bus, sink, telemetry } = setUp({ level: 'debug' });
  bus.emit({ type: 'breaker', at: 0, target: 'a/m', from: 'open', to: 'closed', openForMs: null });
  bus.emit({ type: 'cooldown', at: 0, subject: 'a/m', kind: 'cooldown', forMs: 1234.56789, reason: 'rate_limited' });
  bus.emit({ type: 'cooldown', at: 0, subject: 'a/m', kind: 'cooldown', forMs: Infinity, reason: 'rate_limited' });
  bus.emit(attempt());
  bus.emit(received());
  bus.emit(finished({ costUsd: 0.1 + 0.2, queueMs: Number.NaN }));
  telemetry.log.warn({ n: 1 }, 'by hand');
  await telemetry.flush();
  assert.doesNotMatch(sink.text, /null|\d\.\d{3,}(?!Z)/);
  for (const line of sink.lines()) assert.match(String(line['time']), /^2023-11-14T22:13:20\.\d{3}Z$/);
});
