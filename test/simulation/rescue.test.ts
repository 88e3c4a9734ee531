/** Costs and benefits of rescues over two thousand requests with the defaults: hung calls cost seconds, slow ones a few more calls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse, silence } from '../../src/testing/simulated-chat.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from '../e2e/virtual.ts';
import type { VirtualSeen } from '../e2e/virtual.ts';
import { percent, quantile } from './observed.ts';

const REQUESTS = 2_000;
const EVERY_MS = 500;
const BODY = { max_tokens: 60 };

const cases: { name: string; odd: () => SimulatedResponse; share: number; extraMax: number; longestMaxMs: number }[] = [
  // From the start: nothing is learned yet, and the assumed limit is 31.5 s.
  { name: 'one in a hundred hangs silently', odd: silence, share: 0.01, extraMax: 0.02, longestMaxMs: 35_000 },
  {
    name: 'one in a hundred is healthy and takes 40 s',
    odd: () => chatResponse({ headersAfterMs: 40_000 }),
    share: 0.01,
    extraMax: 0.02,
    longestMaxMs: 40_000,
  },
  {
    name: 'one in a hundred takes 8 s',
    odd: () => chatResponse({ headersAfterMs: 8_000 }),
    share: 0.01,
    extraMax: 0.001,
    longestMaxMs: 8_000,
  },
  { name: 'none is slow', odd: () => chatResponse({ headersAfterMs: 3_000 }), share: 0, extraMax: 0, longestMaxMs: 3_000 },
];

for (const { name, odd, share, extraMax, longestMaxMs } of cases) {
  test(`of ${REQUESTS} requests ${name}`, { timeout: 120_000 }, async (t) => {
    const random = createSeededRandom(7);
    const usual = (fromMs: number, toMs: number) => () => chatResponse({ headersAfterMs: fromMs + random.next() * (toMs - fromMs) });
    const [quick, slower] = [usual(300, 1_500), usual(1_500, 4_000)];
    const world = await startVirtualWorld(t, {
      domain: '.test',
      providers: { a: () => (random.next() < share ? odd() : quick()), b: () => slower() },
    });
    const asked = Array.from(
      { length: REQUESTS },
      (_, i) =>
        new Promise<VirtualSeen>((resolve, reject) => {
          world.clock.schedule(i * EVERY_MS, () => void world.ask(BODY).done.then(resolve, reject));
        }),
    );
    const seen = await world.until(Promise.all(asked));
    const waits = seen.map(({ endAtMs }) => endAtMs);
    const rescues = world.eventsOf('attempt').filter(({ race }) => race === 'rescue').length;
    const won = world.eventsOf('committed').filter(({ race }) => race === 'rescue').length;
    const extra = world.upstream.calls.length - REQUESTS;
    t.diagnostic(
      `${extra} calls more (${percent(extra, REQUESTS)}), all of them rescues: ${rescues}, of which ${won} won; p50 ${quantile(waits, 0.5).toFixed(0)} ms, p99 ${quantile(waits, 0.99).toFixed(0)} ms, longest ${Math.max(...waits).toFixed(0)} ms`,
    );
    assert.ok(seen.every(({ status }) => status === 200));
    assert.equal(extra, rescues);
    assert.ok(extra <= extraMax * REQUESTS, `${extra}`);
    assert.ok(Math.max(...waits) <= longestMaxMs, `${Math.max(...waits)}`);
    assert.equal(world.eventsOf('breaker').length, 0);
  });
}
