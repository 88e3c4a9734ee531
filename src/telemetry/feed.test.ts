import assert from 'node:assert/strict';
import { test } from 'node:test';
import { behindMaxMs, readersMax, tickMs } from './feed.ts';
import { Reader, setUp } from './feed.fixture.ts';
import { attemptEnd, failedAttempt, finished, received } from './events.fixture.ts';

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

test('rejected requests that callers see are displaced neither by successes nor by failures, and do not displace these', () => {
  const { clock, bus, subscribe, request } = setUp();
  const { reader } = subscribe();
  const rejected = {
    status: 401,
    code: 'invalid_api_key',
    keyState: 'former',
    message: 'no',
    method: 'POST',
    path: '/v1/chat/completions',
    protocol: 'openai',
    operation: 'chat',
    model: null,
    client: 'web',
  } as const;
  for (let i = 0; i < 200; i++) bus.emit({ type: 'rejected', requestId: `locked-${i}`, at: clock.now(), ...rejected });
  for (let i = 0; i < 200; i++) request(`good-${i}`);
  clock.advance(tickMs);
  const { requests } = reader.last.data;
  assert.equal(requests.filter(({ callerVisible }) => callerVisible === true).length, 20);
  assert.equal(requests.length, 40);
  for (let i = 0; i < 30; i++) request(`failed-${i}`, { outcome: 'failed', status: 502 });
  for (let i = 0; i < 200; i++) bus.emit({ type: 'rejected', requestId: `out-${i}`, at: clock.now(), ...rejected });
  clock.advance(tickMs);
  const kinds = reader.last.data.requests.map(({ id }) => id.split('-')[0]);
  assert.deepEqual([kinds.filter((kind) => kind === 'failed').length, kinds.filter((kind) => kind === 'out').length], [10, 10]);
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
