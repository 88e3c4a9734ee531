/** A queued request that can no longer be served in time gets the cause, when a retry would help, and a sufficient deadline. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen, VirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const ANSWER_MS = 500;

/** One start a second, answers of half a second; ten of them have shown that. */
async function paced(t: Parameters<typeof startVirtualWorld>[0], queue: Record<string, unknown> = {}): Promise<VirtualWorld> {
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse({ headersAfterMs: ANSWER_MS }) },
    limits: { requestsPerMinute: 60, burst: 1 / 60 },
    config: { policy: { queue } },
  });
  for (let i = 0; i < 12; i++) await world.answerTo();
  return world;
}

/** A normal request, and six of the high class that come right after it. */
async function overtaken(world: VirtualWorld): Promise<{ seen: VirtualSeen; others: readonly VirtualSeen[] }> {
  const normal = world.ask({}, { 'x-breakwater-deadline-ms': '3000' });
  await world.clock.advanceAsync(10);
  const high = Array.from({ length: 6 }, () => world.ask({}, { 'x-breakwater-priority': 'high' }));
  const seen = await world.until(normal.done);
  const others = await Promise.all(high.map(({ done }) => world.until(done)));
  return { seen, others };
}

test('a wait made hopeless by higher priorities is not caused by queue.maxWait, and the named deadline suffices', async (t) => {
  const world = await paced(t, { minShare: { low: 0, normal: 0 } });
  const { seen } = await overtaken(world);
  const { code, message } = errorOf(seen.text);
  assert.deepEqual([seen.status, code], [429, 'rate_limited'], message);
  assert.doesNotMatch(message, /maxWait/);
  const named = Number(/x-breakwater-deadline-ms: (\d+)/.exec(message)?.[1]);
  assert.ok(named > 3000 + ANSWER_MS, `a deadline of ${named} ms`);
});

test('its retry-after includes the waiting requests', async (t) => {
  const world = await paced(t, { minShare: { low: 0, normal: 0 } });
  const { seen } = await overtaken(world);
  // Refused after 2.5 s, when two of the six were served: four seconds of starts stand before it.
  const waitMs = Number(seen.headers.get('retry-after-ms'));
  assert.ok(waitMs >= 3000, `${waitMs} ms`);
});

test('if queue.maxWait ended the wait, the error says so', async (t) => {
  const world = await paced(t, { minShare: { low: 0, normal: 0 }, maxWait: '2s' });
  const { seen } = await overtaken(world);
  assert.match(errorOf(seen.text).message, /queue\.maxWait was over/);
});
