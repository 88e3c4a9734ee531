/** Deadlines of hours: requests that wait on their connection in the class of jobs. Virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse, chatStream } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const HOUR_MS = 3_600_000;
const job = (deadlineMs: number, key = 'job-key-0123456789'): Record<string, string> => ({
  authorization: `Bearer ${key}`,
  'x-breakwater-priority': 'job',
  'x-breakwater-deadline-ms': String(deadlineMs),
});
const web = { authorization: 'Bearer web-key-0123456789' };
const clients = [
  { name: 'web', key: 'web-key-0123456789' },
  { name: 'job', key: 'job-key-0123456789' },
];

for (const stream of [false, true]) {
  test(`requests wait for hours behind a limit and all succeed, ${stream ? 'streamed, with keep-alives' : 'plain'}`, async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => (stream ? chatStream({}) : chatResponse()) },
      limits: { requestsPerMinute: 1, burst: 1 },
      config: { clients, policy: { maxDeadline: '5h', stream: { keepAlive: '15s' } } },
    });
    const asked = Array.from({ length: 200 }, () => world.ask({ stream }, job(4 * HOUR_MS)));
    const seen = await world.until(Promise.all(asked.map(({ done }) => done)));
    assert.deepEqual(new Set(seen.map(({ status }) => status)), new Set([200]));
    assert.equal(world.callsTo('a'), 200, 'each is sent once');
    const longest = Math.max(...seen.map(({ endAtMs }) => endAtMs));
    assert.ok(longest > 3 * HOUR_MS && longest <= 4 * HOUR_MS, `${longest}`);
    if (!stream) return;
    for (const { pieces } of seen) {
      const times = [0, ...pieces.map(({ atMs }) => atMs)];
      assert.ok(
        times.every((at, i) => i === 0 || at - times[i - 1]! <= 15_100),
        'a caller is never left without a byte for longer',
      );
    }
  });
}

test('a caller without such a deadline goes before those who wait, and one whose deadline is too short is told what would do', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse() },
    limits: { requestsPerMinute: 1, burst: 1 },
    config: { clients, policy: { maxDeadline: '5h' } },
  });
  const waiting = Array.from({ length: 100 }, () => world.ask({}, job(4 * HOUR_MS)));
  await world.clock.advanceAsync(1_000);
  const refused = await world.answerTo({}, job(HOUR_MS));
  assert.equal(refused.status, 429);
  assert.match(errorOf(refused.text).message, /deadline/);
  const first = await world.answerTo({}, web);
  assert.deepEqual([first.status, first.endAtMs <= 120_000], [200, true]);
  const all = await world.until(Promise.all(waiting.map(({ done }) => done)));
  assert.ok(all.every(({ status }) => status === 200));
});

test('the deadline is bounded by policy.maxDeadline, and one that has left makes no call', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse() },
    limits: { requestsPerMinute: 1, burst: 1 },
    config: { clients, policy: { maxDeadline: '2h' } },
  });
  const waiting = Array.from({ length: 100 }, () => world.ask({}, job(9 * HOUR_MS)));
  await world.clock.advanceAsync(1_000);
  for (const { deadlineMs } of world.eventsOf('received')) assert.equal(deadlineMs, 2 * HOUR_MS);
  for (const leaving of waiting.slice(50)) {
    leaving.leave();
    void leaving.done.catch(() => {});
  }
  const rest = await world.until(Promise.all(waiting.slice(0, 50).map(({ done }) => done)));
  assert.ok(rest.every(({ status }) => status === 200));
  await world.clock.advanceAsync(3 * HOUR_MS);
  assert.equal(world.callsTo('a'), 50);
});
