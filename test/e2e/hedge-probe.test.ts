/** A half-open probe that hangs delays its caller briefly. In virtual time, with hedging off. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, silence } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const USUAL_MS = 800;
const OPEN_FOR_MS = 6_000; // with its jitter

interface Stage extends VirtualWorld {
  /** Sets the behaviour of `a`. */
  become(answer: () => SimulatedResponse): void;
  /** Sets the behaviour of `b`. */
  answerB(answer: () => SimulatedResponse): void;
  stateOf(target: string): string;
}

/** `a` has responded sixty times, then failed until its breaker opened, and the open time is over: the next request is its probe. */
async function startHalfOpen(t: TestContext, options: Partial<VirtualOptions> = {}): Promise<Stage> {
  let [answer, other] = [() => chatResponse({ headersAfterMs: USUAL_MS }), () => chatResponse({ headersAfterMs: 100 })];
  const world = await startVirtualWorld(t, { providers: { a: () => answer(), b: () => other() }, ...options });
  const stateOf = (name: string): string => world.gateway.targets().find(({ target }) => target === name)!.breaker.state;
  for (let i = 0; i < 60; i++) await world.answerTo();
  answer = () => chatError(500);
  while (stateOf('a/m') !== 'open') await world.answerTo();
  await world.clock.advanceAsync(OPEN_FOR_MS);
  const become = (next: () => SimulatedResponse) => (answer = next);
  const answerB = (next: () => SimulatedResponse) => (other = next);
  return Object.assign(world, { stateOf, become, answerB });
}

function assertSettled(world: VirtualWorld): void {
  assert.equal(world.upstream.running, 0);
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
  assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
}

it('a hanging probe is raced by the next target after twice the usual silence, and its breaker opens again', async (t) => {
  const world = await startHalfOpen(t);
  world.become(silence);
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
  assert.equal(seen.headers.get('x-breakwater-fallback'), 'slow');
  assert.ok(seen.endAtMs > 2 * USUAL_MS && seen.endAtMs < 2 * USUAL_MS * 1.15 + 100, `${seen.endAtMs}`);
  assert.deepEqual(
    world
      .eventsOf('attempt')
      .slice(-2)
      .map(({ target, probe, race }) => [target, probe, race]),
    [
      ['a/m', true, null],
      ['b/m', false, 'probe'],
    ],
  );
  assert.equal(world.stateOf('a/m'), 'open');
  assertSettled(world);
  // Nobody else waits for it meanwhile.
  const callsToA = world.callsTo('a');
  assert.equal((await world.answerTo()).endAtMs, 100);
  assert.equal(world.callsTo('a'), callsToA);
});

it('a probe that responds first closes its breaker, and the other attempt is closed', async (t) => {
  const world = await startHalfOpen(t);
  world.become(() => chatResponse({ headersAfterMs: 2 * USUAL_MS + 250 }));
  world.answerB(() => silence());
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
  assert.equal(seen.headers.get('x-breakwater-fallback'), null);
  assert.equal(world.stateOf('a/m'), 'closed');
  assert.equal(world.stateOf('b/m'), 'closed');
  assert.equal(world.gateway.targets().find(({ target }) => target === 'b/m')!.health, 1);
  assertSettled(world);
});

it('a probe that responds in its usual time is not raced', async (t) => {
  const world = await startHalfOpen(t);
  world.become(() => chatResponse({ headersAfterMs: USUAL_MS }));
  const callsToB = world.callsTo('b');
  assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'a/m');
  assert.equal(world.callsTo('b'), callsToB);
  assert.equal(world.stateOf('a/m'), 'closed');
  assertSettled(world);
});

it('a probe that fails while it is raced opens its breaker, and its caller gets the other response', async (t) => {
  const world = await startHalfOpen(t);
  const failsLate = chatError(500);
  world.become(() => ({ steps: [{ do: 'wait', ms: 2 * USUAL_MS + 250 }, ...failsLate.steps] }));
  world.answerB(() => chatResponse({ headersAfterMs: 1000 }));
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
  assert.equal(world.stateOf('a/m'), 'open');
  assertSettled(world);
});

it('a probe whose caller disconnects passes its slot to the next request, raced or not', async (t) => {
  for (const leaveAfterMs of [500, 2 * USUAL_MS + 500]) {
    const world = await startHalfOpen(t);
    world.become(silence);
    world.answerB(silence);
    const asked = world.ask();
    await world.clock.advanceAsync(leaveAfterMs);
    asked.leave();
    await assert.rejects(asked.done);
    await world.clock.advanceAsync(0);
    assert.equal(world.stateOf('a/m'), 'half-open');
    assertSettled(world);
    world.become(() => chatResponse());
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    assert.equal(world.eventsOf('attempt').at(-1)!.probe, true);
    assert.equal(world.stateOf('a/m'), 'closed');
    assertSettled(world);
  }
});

it('a probe without another target waits like any attempt', async (t) => {
  const world = await startHalfOpen(t);
  world.become(() => chatResponse({ headersAfterMs: 20_000 }));
  const seen = await world.answerTo({}, { 'x-breakwater-fallback': 'off' });
  assert.equal(seen.headers.get('x-breakwater-attempts'), '1');
  assert.equal(world.stateOf('a/m'), 'closed');
  assertSettled(world);
});

it('if the next target has no capacity yet, the probe is raced once it has', async (t) => {
  const world = await startHalfOpen(t, { limits: { concurrency: 2 } });
  world.become(silence);
  world.answerB(() => chatResponse({ headersAfterMs: 3000 }));
  const other = world.ask({ model: 'b/m' });
  await world.clock.advanceAsync(0);
  world.answerB(() => chatResponse({ headersAfterMs: 100 }));
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  assert.ok(seen.endAtMs > 3000 && seen.endAtMs < 6000, `${seen.endAtMs}`);
  await other.done;
  assertSettled(world);
});

it('a probe that has started to respond when the other attempt is done has not failed', async (t) => {
  const world = await startHalfOpen(t);
  // Its answer is on its way, and not whole.
  const [head, ...body] = [...chatResponse({ headersAfterMs: 0 }).steps].filter(({ do: what }) => what !== 'wait');
  world.become(() => ({
    steps: [{ do: 'wait', ms: 2 * USUAL_MS + 250 }, head!, { do: 'send', bytes: ' { ' }, { do: 'wait', ms: 5000 }, ...body],
  }));
  world.answerB(() => chatResponse({ headersAfterMs: 1000 }));
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  assert.equal(world.eventsOf('attempt_end').findLast(({ target }) => target === 'a/m')!.verdict, 'cancelled');
  assert.notEqual(world.stateOf('a/m'), 'open');
  assertSettled(world);
});

it('a probe that responds while the other response is checked has not failed', async (t) => {
  const world = await startHalfOpen(t, {
    config: {
      policy: {
        quality: {
          check: ({ target }) =>
            target === 'a/m' ? true : new Promise<boolean>((resolve) => world.clock.schedule(2000, () => resolve(true))),
        },
      },
    },
  });
  world.become(() => chatResponse({ headersAfterMs: 2 * USUAL_MS + 1000 }));
  const seen = await world.answerTo();
  assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
  assert.notEqual(world.stateOf('a/m'), 'open');
  assertSettled(world);
});
