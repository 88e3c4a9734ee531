/** How long a better tier is worth waiting for (design 4.1), in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { limited } from './keyed.ts';
import { startVirtualWorld } from './virtual.ts';

const start = (
  t: TestContext,
  a: (call: SimulatedCall) => SimulatedResponse,
  more: Partial<Parameters<typeof startVirtualWorld>[1]> = {},
) =>
  startVirtualWorld(t, {
    providers: { a, b: () => chatResponse() },
    models: { fast: { targets: ['a/m', 'b/m'], patience: '1s' } },
    ...more,
  });

/** Its first five calls fail, the others take three seconds. */
function failsFive(): () => SimulatedResponse {
  let calls = 0;
  return () => (++calls <= 5 ? chatError(500) : chatResponse({ headersAfterMs: 3_000 }));
}

describe('a better tier', () => {
  it('that is back within patience is waited for', async (t) => {
    const world = await start(t, (call) => (call.number === 1 ? limited('0.8') : chatResponse()));
    await world.answerTo();
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    assert.ok(seen.endAtMs >= 800 && seen.endAtMs < 1000, `${seen.endAtMs} ms`);
  });

  it('that is back later than patience is skipped at once', async (t) => {
    const world = await start(t, (call) => (call.number === 1 ? limited('1.5') : chatResponse()));
    await world.answerTo();
    const seen = await world.answerTo();
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.endAtMs], ['b/m', 0]);
  });

  it('of which nobody knows when it comes free is waited for until patience is over', async (t) => {
    const config = { policy: { breaker: { consecutiveFailures: 50 } } };
    const world = await start(t, () => chatResponse({ headersAfterMs: 5_000 }), { limits: { concurrency: 1 }, config });
    const busy = world.ask();
    await world.clock.advanceAsync(1);
    const seen = await world.answerTo();
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.endAtMs], ['b/m', 1_000]);
    await world.until(busy.done);
  });

  it('whose breaker is open, half-open, or lets few through is skipped at once', async (t) => {
    const config = { policy: { breaker: { openFor: '500ms' } } };
    const world = await start(t, failsFive(), { config });
    /** Lets a millisecond pass, no more; null: it was not answered by then. */
    const atOnce = async (): Promise<number | null> => {
      let endAtMs: number | null = null;
      void world.ask().done.then((seen) => (endAtMs = seen.endAtMs));
      for (let i = 0; i < 3; i++) await world.clock.advanceAsync(0.3);
      return endAtMs;
    };
    for (let i = 0; i < 5; i++) await atOnce();
    assert.deepEqual([await atOnce(), world.callsTo('a')], [0, 5], 'open, for less than patience');
    await world.clock.advanceAsync(700);
    const probe = world.ask();
    await world.clock.advanceAsync(1);
    assert.equal(world.callsTo('a'), 6);
    assert.deepEqual([await atOnce(), world.callsTo('a')], [0, 6], 'half-open');
    assert.equal((await world.until(probe.done)).headers.get('x-breakwater-target'), 'a/m');
    const few = [world.ask(), world.ask()];
    await world.clock.advanceAsync(1);
    assert.equal(world.callsTo('a'), 8);
    assert.deepEqual([await atOnce(), world.callsTo('a')], [0, 8], 'ramping');
    await world.until(Promise.all(few.map((one) => one.done)));
  });

  it('that is the only one is waited for although it is on trial', async (t) => {
    const config = { policy: { maxAttempts: 1, breaker: { openFor: '500ms' } } };
    const world = await start(t, failsFive(), { config });
    for (let i = 0; i < 5; i++) await world.answerTo({ model: 'a/m' });
    const asked = [world.ask({ model: 'a/m' }), world.ask({ model: 'a/m' })];
    const seen = await world.until(Promise.all(asked.map((one) => one.done)));
    assert.deepEqual(
      seen.map(({ status }) => status),
      [200, 200],
    );
    assert.ok(seen[1]!.endAtMs > 6_000);
  });
});
