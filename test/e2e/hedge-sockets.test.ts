/** Hedging on real sockets: the official SDK as the caller, Storms as providers, with their statistics. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { StormFault, StormOptions } from '../../src/storm/index.ts';
import { chatBody } from './harness.ts';
import { askBySdk } from './sdk-caller.ts';
import { eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

/** Long after any hedge, and before any patience. */
const SLOW_MS = 20_000;
const HEDGE = { enabled: true, delay: '150ms', budget: 1 } as const;
const CONCURRENCY = 8;

const silentAt = (...calls: number[]): StormOptions => ({ faults: [{ kind: 'silence', calls }] });

function startHedged(t: TestContext, storms: Record<string, StormOptions>): Promise<World> {
  const limits = { concurrency: CONCURRENCY };
  const providers = Object.fromEntries(Object.keys(storms).map((name) => [name, { limits }]));
  return startWorld(t, { storms, providers, config: { policy: { hedge: HEDGE } } });
}

/** Asserts that nothing runs, all capacity is released, and providers saw the aborted calls. */
async function assertSettled(world: World, aborted: Record<string, number>): Promise<void> {
  const storms = Object.entries(world.storms);
  await eventually(() => storms.every(([, storm]) => storm.stats().running === 0), 'the end of every call');
  await eventually(() => world.gateway.queue().inFlight === 0, 'the end of every request');
  for (const [name, storm] of storms) assert.equal(storm.stats().aborted, aborted[name] ?? 0, `calls to ${name} that were closed`);
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
  for (const target of world.gateway.targets()) {
    assert.equal(target.inFlight, 0);
    assert.deepEqual([target.health, target.breaker.state, target.breaker.failureRatio], [1, 'closed', 0]);
    for (const { available } of target.limits) assert.equal(available, CONCURRENCY);
  }
  assert.equal(world.gateway.queue().heldBytes, 0);
}

for (const stream of [false, true]) {
  describe(stream ? 'a stream' : 'a non-streaming request', () => {
    it('that hangs is served by the hedge, and its own call is closed', async (t) => {
      const world = await startHedged(t, { a: silentAt(1), b: {} });
      const seen = await askBySdk(world.openai, chatBody({ stream }));
      assert.equal(seen.end, 'answer');
      assert.notEqual(seen.said[0]!.content, '');
      assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
      assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
      assert.equal(seen.headers.get('x-breakwater-fallback'), 'slow');
      assert.ok(seen.ms < SLOW_MS);
      await assertSettled(world, { a: 1 });
      assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 1]);
    });

    it('that responds after its hedge has started has one response, and the hedge is closed', async (t) => {
      const slow = { timing: { plainMs: 600, firstTokenMs: 600 } };
      const world = await startHedged(t, { a: slow, b: silentAt(1) });
      const seen = await askBySdk(world.openai, chatBody({ stream }));
      assert.equal(seen.end, 'answer');
      assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
      assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
      assert.equal(seen.headers.get('x-breakwater-fallback'), null);
      await assertSettled(world, { b: 1 });
    });

    it('with one target is repeated there once', async (t) => {
      const world = await startHedged(t, { a: silentAt(1) });
      const seen = await askBySdk(world.openai, chatBody({ stream }));
      assert.equal(seen.end, 'answer');
      assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
      await assertSettled(world, { a: 1 });
      assert.equal(world.storms['a']!.stats().calls, 2);
    });

    it('continues with its own call if the hedge is refused, cut or unreadable', async (t) => {
      const slow = { timing: { plainMs: 700, firstTokenMs: 700 } };
      for (const fault of [{ kind: '429' }, { kind: '400' }, { kind: 'reset' }, { kind: 'html' }] as StormFault[]) {
        const world = await startHedged(t, { a: slow, b: { faults: [fault] } });
        const seen = await askBySdk(world.openai, chatBody({ stream }));
        assert.equal(seen.end, 'answer', fault.kind);
        assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
        assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
        assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 1]);
      }
    });

    it('closes both calls within a second when its caller disconnects', async (t) => {
      const world = await startHedged(t, { a: silentAt(1), b: silentAt(1) });
      const caller = new AbortController();
      const asked = world.openai.chat.completions.create(chatBody({ stream }) as never, { signal: caller.signal });
      await eventually(() => world.storms['b']!.stats().running === 1, 'the hedge');
      caller.abort();
      await assert.rejects(async () => await asked);
      await assertSettled(world, { a: 1, b: 1 });
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
    });
  });
}

it('of a hundred requests every fifth hangs, and all are served, those with one hedge each', async (t) => {
  const world = await startHedged(t, { a: { faults: [{ kind: 'silence', calls: { every: 5 } }] }, b: {} });
  let byHedge = 0;
  for (let round = 0; round < 25; round++) {
    const asked = Array.from({ length: 4 }, (_, i) => askBySdk(world.openai, chatBody({ stream: (round + i) % 2 === 0 })));
    for (const { end, headers } of await Promise.all(asked)) {
      assert.equal(end, 'answer');
      if (headers.get('x-breakwater-target') === 'b/m') byHedge++;
    }
  }
  const [a, b] = [world.storms['a']!.stats(), world.storms['b']!.stats()];
  assert.equal(a.calls, 100);
  // A busy machine may be late with an answer that was on its way: that is hedged too.
  const hedges = world.eventsOf('attempt').filter(({ race }) => race === 'hedge').length;
  assert.ok(byHedge >= 20 && b.calls >= byHedge && hedges >= b.calls, `${byHedge} of ${b.calls} of ${hedges}`);
  assert.equal(world.eventsOf('committed').filter(({ race }) => race === 'hedge').length, byHedge);
  await eventually(() => world.storms['a']!.stats().aborted >= 20, 'the end of those that hung');
  await assertSettled(world, { a: world.storms['a']!.stats().aborted, b: world.storms['b']!.stats().aborted });
});

it('a local model does not replace one that is merely slow', async (t) => {
  const slow = { timing: { plainMs: 600 } };
  const storms = { a: slow, b: {} };
  const world = await startWorld(t, { storms, providers: { b: { preset: 'ollama' } }, config: { policy: { hedge: HEDGE } } });
  const seen = await askBySdk(world.openai, chatBody());
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [2, 0]);
});
