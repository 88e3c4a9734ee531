import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBus, type RejectedEvent } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { behindMaxMs, readersMax, tickMs, type FeedReader, type FeedSubscription } from './feed.ts';
import type { HelloFrame, TickFrame } from './feed-frames.ts';
import { attempt, attemptEnd, failedAttempt, finished, received } from './events.fixture.ts';
import { createTelemetry } from './telemetry.ts';

interface Frame {
  readonly id: string;
  readonly type: string;
  readonly data: HelloFrame & TickFrame;
}

/** A reader of frames. If `isSlow`, it falls behind after each frame until it has caught up. */
class Reader implements FeedReader {
  readonly frames: Frame[] = [];
  closed: string | null = null;
  isSlow = false;

  send(event: Uint8Array): boolean {
    const match = /^id: (.+)\nevent: (.+)\ndata: (.+)\n\n$/.exec(Buffer.from(event).toString());
    assert.ok(match);
    this.frames.push({ id: match[1]!, type: match[2]!, data: JSON.parse(match[3]!) });
    return !this.isSlow;
  }

  close(cause: string): void {
    this.closed = cause;
  }

  get last(): Frame {
    return this.frames.at(-1)!;
  }
}

function setUp(options: { secrets?: string[]; status?: () => unknown } = {}) {
  const clock = createManualClock({ epochMs: 1_700_000_000_000 });
  const { secrets = [], status } = options;
  const telemetry = createTelemetry({ logs: { level: 'silent' }, requests: { file: '' }, clock, secrets, ...(status && { status }) });
  const bus = new EventBus((error) => {
    throw error;
  });
  telemetry.attach(bus);
  const { feed } = telemetry;
  function subscribe(lastEventId: string | null = null): { reader: Reader; subscription: FeedSubscription } {
    const reader = new Reader();
    return { reader, subscription: feed.subscribe(reader, lastEventId)! };
  }
  function request(id: string, change: Parameters<typeof finished>[0] = {}): void {
    const of = { requestId: id, at: clock.now() };
    bus.emit(received(of));
    bus.emit(attempt(of));
    bus.emit(attemptEnd(of));
    bus.emit(finished({ ...of, ...change }));
  }
  return { clock, bus, telemetry, feed, subscribe, request };
}

test('without readers no timer runs and no frame is built', () => {
  const { clock, feed, request } = setUp({ status: () => assert.fail('asked for its status') });
  const before = clock.pendingTimers;
  request('a');
  clock.advance(60_000);
  assert.equal(clock.pendingTimers, before);
  assert.equal(feed.readers, 0);
});

test('a reader gets the current state at once, then a frame every second', () => {
  const { clock, subscribe, request } = setUp({ status: () => ({ hello: 1 }) });
  request('a');
  const { reader } = subscribe();
  assert.equal(reader.last.type, 'hello');
  assert.equal(reader.last.data.resumed, false);
  assert.deepEqual(reader.last.data.state.status, { hello: 1 });
  assert.deepEqual(
    reader.last.data.requests.map(({ id }) => id),
    ['a'],
  );
  request('b');
  clock.advance(2 * tickMs);
  assert.deepEqual(
    reader.frames.map(({ type, data }) => [type, data.requests.map(({ id }) => id)]),
    [
      ['hello', ['a']],
      ['tick', ['b']],
      ['tick', []],
    ],
  );
  assert.equal(reader.frames[1]!.data.finished, 1);
});

test('at thousands of requests a second frames stay bounded, and successes do not displace failures', () => {
  const { clock, subscribe, request } = setUp();
  const { reader } = subscribe();
  request('failed', { outcome: 'failed', status: 502 });
  for (let i = 0; i < 5_000; i++) request(`good-${i}`);
  clock.advance(tickMs);
  const { data } = reader.last;
  assert.equal(data.finished, 5_001);
  assert.ok(data.requests.length <= 40);
  assert.ok(data.requests.some(({ id }) => id === 'failed'));
  assert.equal(data.state.rates.received, 5_001);
  assert.ok(JSON.stringify(data).length < 64 * 1024);
});

test('rejected requests do not displace failures and do not count as demand', () => {
  const { clock, bus, subscribe, request } = setUp();
  const { reader } = subscribe();
  request('failed', { outcome: 'failed', status: 502 });
  const rejected = {
    status: 401,
    code: 'invalid_api_key',
    message: 'no',
    method: 'GET',
    path: '/',
    protocol: 'openai',
    operation: 'chat',
  } as const;
  for (let i = 0; i < 500; i++)
    bus.emit({ type: 'rejected', requestId: `no-${i}`, at: clock.now(), ...rejected, model: null, client: null });
  clock.advance(tickMs);
  const { data } = reader.last;
  assert.ok(data.requests.some(({ id }) => id === 'failed'));
  assert.deepEqual([data.state.rates.received, data.state.rates.refused, data.finished], [1, 0, 501]);
});

test('a target is described by how its calls ended', () => {
  const { clock, bus, subscribe } = setUp();
  for (let i = 0; i < 6; i++) bus.emit(attemptEnd());
  for (let i = 0; i < 3; i++) bus.emit(failedAttempt('slow down, please', { status: 429 }));
  bus.emit(failedAttempt('', { status: null, failure: 'reset', reason: 'connection', message: null }));
  bus.emit(attemptEnd({ verdict: 'cancelled' }));
  const { reader } = subscribe();
  const [activity] = reader.last.data.state.targets;
  assert.deepEqual([activity!.calls, activity!.failed, activity!.cancelled], [10, 4, 1]);
  assert.deepEqual(activity!.causes, [
    { text: '429 rate limit', count: 3, message: 'slow down, please' },
    { text: 'connection broken before the response', count: 1 },
  ]);
  assert.deepEqual(activity!.strip.slice(-2), [10, 4]);
  clock.advance(400_000);
  assert.equal(reader.last.data.state.targets[0]!.calls, 0);
});

test('a reconnecting reader gets what it has missed', () => {
  const { clock, bus, subscribe, request } = setUp();
  const { reader, subscription } = subscribe();
  request('a');
  clock.advance(tickMs);
  const { id } = reader.last;
  subscription.stop();
  request('b');
  bus.emit({ type: 'breaker', at: clock.now(), target: 'openai/gpt', from: 'closed', to: 'open', openForMs: 5_000 });
  clock.advance(12_000);
  const again = subscribe(id).reader;
  const { data } = again.last;
  assert.equal(data.resumed, true);
  assert.deepEqual(
    data.requests.map((one) => one.id),
    ['b'],
  );
  assert.deepEqual(
    data.notices.map(({ text }) => text),
    ['openai/gpt: circuit breaker opened for 5 s'],
  );
  assert.ok(data.points.length >= 2 && data.points.length <= 3);
});

for (const [why, idOf, waitMs] of [
  ['its last frame came from another process', () => 'other-1', 1_000],
  ['its last frame id is invalid', () => 'nonsense', 1_000],
  ['it was disconnected for longer than frames are stored', (id: string) => id, 4_000_000],
] as const) {
  test(`a reader gets everything again if ${why}`, () => {
    const { clock, subscribe, request } = setUp();
    const { reader, subscription } = subscribe();
    const { id } = reader.last;
    subscription.stop();
    request('a');
    clock.advance(waitMs);
    const { data } = subscribe(idOf(id)).reader.last;
    assert.equal(data.resumed, false);
    assert.equal(data.requests.length, 1);
  });
}

test('a second reader does not affect the first', () => {
  const { clock, subscribe, request } = setUp();
  const { reader: first } = subscribe();
  request('a');
  const { reader: second } = subscribe();
  request('b');
  clock.advance(tickMs);
  const idsOf = (reader: Reader): string[] => reader.frames.flatMap(({ data }) => data.requests.map(({ id }) => id));
  assert.deepEqual(idsOf(first), ['a', 'b']);
  assert.deepEqual(idsOf(second), ['a', 'b']);
  request('c');
  clock.advance(tickMs);
  assert.deepEqual(
    [idsOf(first), idsOf(second)],
    [
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ],
  );
});

test('a slow reader gets nothing until it has caught up, then everything it missed', () => {
  const { clock, subscribe, request } = setUp();
  const { reader, subscription } = subscribe();
  reader.isSlow = true;
  clock.advance(tickMs);
  request('a');
  clock.advance(3 * tickMs);
  assert.equal(reader.frames.length, 2);
  reader.isSlow = false;
  subscription.caughtUp();
  assert.equal(reader.frames.length, 3);
  assert.deepEqual([reader.last.data.resumed, reader.last.data.requests.map(({ id }) => id)], [true, ['a']]);
  clock.advance(tickMs);
  assert.equal(reader.frames.length, 4);
});

test('a reader that stays behind is disconnected and counted; the others are not', async () => {
  const { clock, feed, telemetry, subscribe } = setUp();
  const slow = subscribe().reader;
  const quick = subscribe().reader;
  slow.isSlow = true;
  clock.advance(behindMaxMs + 2 * tickMs);
  assert.equal(slow.closed, 'behind');
  assert.equal(quick.closed, null);
  assert.deepEqual([feed.readers, feed.dropped], [1, 1]);
  assert.match(await telemetry.metrics.scrape(), /^breakwater_feed_readers_dropped_total 1$/m);
});

test('the number of readers is bounded, and a closed one frees its place', () => {
  const { feed, subscribe } = setUp();
  const all = Array.from({ length: readersMax }, () => subscribe());
  assert.equal(feed.subscribe(new Reader(), null), null);
  all[0]!.subscription.stop();
  assert.notEqual(feed.subscribe(new Reader(), null), null);
});

test('readers are closed when the gateway stops, and no more are accepted', () => {
  const { clock, bus, feed, subscribe } = setUp();
  const { reader } = subscribe();
  bus.emit({ type: 'lifecycle', at: clock.now(), state: 'draining' });
  clock.advance(tickMs);
  assert.equal(reader.last.data.state.phase, 'draining');
  bus.emit({ type: 'lifecycle', at: clock.now(), state: 'stopped' });
  assert.equal(reader.closed, 'stopped');
  assert.equal(feed.subscribe(new Reader(), null), null);
});

test('a secret in the gateway status is masked', () => {
  const { subscribe } = setUp({ secrets: ['sk-very-secret-1'], status: () => ({ message: 'no such key sk-very-secret-1' }) });
  assert.deepEqual(subscribe().reader.last.data.state.status, { message: 'no such key ****************' });
});

test('notices per frame are bounded, and repeated cooldowns are merged', () => {
  const { clock, bus, subscribe } = setUp();
  const { reader } = subscribe();
  for (let i = 0; i < 30; i++) bus.emit({ type: 'warning', at: clock.now(), message: `warning ${i}` });
  for (let i = 0; i < 9; i++)
    bus.emit({ type: 'cooldown', at: clock.now(), subject: 'a/b', kind: 'cooldown', forMs: 2_000, reason: 'rate_limited' });
  clock.advance(tickMs);
  assert.equal(reader.last.data.notices.length, 20);
  assert.equal(reader.last.data.unshownNotices, 11);
  assert.equal(reader.last.data.notices.at(-1)!.text, 'a/b: cooldown for 2 s (rate limit)');
});

test('changes of the wall clock neither stop a chart nor shift a window', () => {
  const { clock, bus, subscribe, request } = setUp();
  const { reader } = subscribe();
  for (const shiftMs of [-3_600_000, 7_200_000]) {
    clock.shiftEpoch(shiftMs);
    request('a');
    bus.emit(attemptEnd());
    clock.advance(6 * tickMs);
    const last = reader.frames.findLast(({ data }) => data.points.some((point) => point[1] === 1));
    assert.ok(last !== undefined && Math.abs(last.data.points.find((point) => point[1] === 1)![0]! - clock.epochMs()) < 15_000);
  }
  assert.equal(reader.last.data.state.targets[0]!.calls, 4);
});

test('memory stays bounded after an hour of traffic and a thousand names', () => {
  const { clock, bus, subscribe } = setUp();
  for (let second = 0; second < 3_700; second++) {
    const of = { requestId: `r-${second}`, at: clock.now() };
    bus.emit(received({ ...of, client: `client-${second}` }));
    bus.emit(failedAttempt(`message ${second}`, { ...of, target: `openai/model-${second}`, status: 400 + (second % 100) }));
    bus.emit(finished({ ...of, client: `client-${second}` }));
    clock.advance(tickMs);
  }
  const { state, points } = subscribe().reader.last.data;
  assert.equal(points.length, 720);
  assert.ok(state.targets.length <= 201 && state.clients.length <= 201);
});

const rejection = {
  type: 'rejected',
  status: 401,
  code: 'invalid_api_key',
  message: 'unknown API key',
  method: 'POST',
  path: '/v1/chat/completions',
  protocol: 'openai',
  operation: 'chat',
  model: null,
  client: null,
} as const;

function rejections(changes: readonly Partial<RejectedEvent>[]) {
  const { clock, bus, subscribe, request } = setUp();
  request('before', { client: 'web', model: 'fast' });
  clock.advance(30_000);
  changes.forEach((change, index) => bus.emit({ ...rejection, requestId: `no-${index}`, at: clock.now(), ...change }));
  const { errors, rates, clients } = subscribe().reader.last.data.state;
  return { errors: errors.map(({ code, client, requests, callerVisible }) => [code, client, requests, callerVisible]), rates, clients };
}

test('requests that a reload has locked out are errors, by code and client; those of scanners are not', () => {
  const { errors, rates, clients } = rejections([
    { keyState: 'former', client: 'web' },
    { keyState: 'former', client: 'web', path: '/v1beta/models/gemini-flash:generateContent' },
    { keyState: 'unknown' },
    {},
    { path: '/.env', keyState: 'unknown' },
    { path: '/admin/targets', keyState: 'unknown' },
  ]);
  assert.deepEqual(errors, [
    ['invalid_api_key', 'web', 2, 2],
    ['invalid_api_key', null, 1, 0],
  ]);
  assert.deepEqual([rates.rejected, rates.refused], [2, 0]);
  assert.deepEqual([clients.find(({ client }) => client === 'web')!.rejected, clients.length], [2, 1]);
});

test('a rejected model is an error where it was served before, or an earlier configuration had it', () => {
  const missing = { status: 404, code: 'model_not_found', client: 'web' } as const;
  const { errors } = rejections([
    { ...missing, model: 'fast' },
    { ...missing, model: 'fsat' },
    { ...missing, client: 'new', model: 'fast', hadModel: true },
    { status: 403, code: 'model_not_allowed', client: 'web', model: 'fast' },
    { status: 429, code: 'rate_limited', client: 'agents', model: 'fast' },
  ]);
  assert.deepEqual(errors, [
    ['model_not_found', 'web', 2, 1],
    ['model_not_found', 'new', 1, 1],
    ['model_not_allowed', 'web', 1, 1],
    ['rate_limited', 'agents', 1, 1],
  ]);
});

test('a typing error neither hides the model that was served before nor counts as a refusal of its client', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('before', { client: 'web', model: 'fast' });
  const missing = { ...rejection, status: 404, code: 'model_not_found', client: 'web' } as const;
  const reject = (model: string) => bus.emit({ ...missing, requestId: `no-${model}`, at: clock.now(), model });
  reject('fast');
  reject('fsat');
  clock.advance(5_000);
  reject('fsta');
  clock.advance(5_000);
  const { state, requests } = subscribe().reader.last.data;
  const [error] = state.errors;
  assert.deepEqual([error!.model, error!.requests, error!.callerVisible], ['fast', 3, 1]);
  assert.equal(state.clients.find(({ client }) => client === 'web')!.rejected, 1);
  const visible = requests.filter(({ callerVisible }) => callerVisible === true);
  assert.deepEqual(
    visible.map(({ model }) => model),
    ['fast'],
  );
});

test('errors are those of a minute, and their names are bounded', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('late', { outcome: 'failed', code: 'deadline_exceeded', status: 504, client: 'web' });
  for (let i = 0; i < 5_000; i++)
    bus.emit({ ...rejection, requestId: `no-${i}`, at: clock.now(), keyState: 'former', client: `client-${i}` });
  const { reader } = subscribe();
  const { errors } = reader.last.data.state;
  assert.ok(errors.length <= 50);
  assert.deepEqual(errors[0], {
    code: 'invalid_api_key',
    client: null,
    isRejected: true,
    model: null,
    requests: 4_901,
    callerVisible: 4_901,
  });
  clock.advance(66_000);
  assert.deepEqual(reader.last.data.state.errors, []);
});

test('a reload forgets whose budget had no room', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('poor', { outcome: 'refused', code: 'budget_exceeded', status: 429, client: 'web' });
  const { reader } = subscribe();
  assert.deepEqual(
    reader.last.data.state.clients.map(({ overBudget, overBudgetAt }) => [overBudget, overBudgetAt]),
    [[1, clock.epochMs()]],
  );
  bus.emit({ type: 'lifecycle', at: clock.now(), state: 'reloaded' });
  clock.advance(tickMs);
  const [client] = reader.last.data.state.clients;
  assert.deepEqual([client!.overBudget, client!.overBudgetAt, client!.refused], [0, null, 1]);
});
