/** Near the end of a budget's period a request waits for the next one, as far as its deadline allows. In virtual time, which begins at an hour. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse } from '../../src/testing/index.ts';
import { startVirtualWorld, type VirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const MINUTE = 60_000;
const WEB = { authorization: 'Bearer web-key-1234' };

/** The budget has room for one request: its estimate is nearly all of it. */
async function startSpent(t: TestContext, policy: NonNullable<ConfigInput['policy']> = {}): Promise<VirtualWorld> {
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse() },
    config: {
      prices: { 'a/m': { input: 1_000, output: 1_000 } },
      clients: [{ name: 'web', key: 'web-key-1234', budget: { usd: 0.03, per: 'hour' } }],
      policy,
    },
  });
  for (let i = 0; i < 50; i++) if ((await world.answerTo({ max_tokens: 1 }, WEB)).status === 429) return world;
  assert.fail('the budget was never spent');
}

describe('a request that a budget has no room for', () => {
  it('is refused at once while the next period begins after its deadline', async (t) => {
    const world = await startSpent(t);
    await world.clock.advanceAsync(49 * MINUTE);
    const refused = await world.answerTo({ max_tokens: 1 }, WEB);
    assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'budget_exceeded']);
  });

  it('waits for the next period if that begins before its deadline', async (t) => {
    const world = await startSpent(t);
    await world.clock.advanceAsync(51 * MINUTE);
    const calls = world.upstream.calls.length;
    const asked = world.ask({ max_tokens: 1 }, WEB);
    await world.clock.advanceAsync(MINUTE);
    const [group] = world.gateway.queue().groups;
    assert.equal(group!.why[0]!.kind, 'budget');
    assert.ok(Math.abs(Number(group!.why[0]!.waitMs) - 8 * MINUTE) < MINUTE);
    assert.equal(world.upstream.calls.length, calls);
    await world.clock.advanceAsync(8 * MINUTE + 1_000);
    assert.equal((await asked.done).status, 200);
  });

  it('waits no longer than queue.maxWait', async (t) => {
    const world = await startSpent(t, { queue: { maxWait: '2m' } });
    await world.clock.advanceAsync(57 * MINUTE);
    assert.equal((await world.answerTo({ max_tokens: 1 }, WEB)).status, 429);
    await world.clock.advanceAsync(1.5 * MINUTE);
    const asked = world.ask({ max_tokens: 1 }, WEB);
    await world.clock.advanceAsync(1.5 * MINUTE);
    assert.equal((await asked.done).status, 200);
  });
});
