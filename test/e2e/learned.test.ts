/** What is learned of a target is shown, applies at once, and is cleared on demand; `restart.test.ts` covers persistence. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatError, chatStream } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { keyed, targetsOf, times } from './keyed.ts';
import { startVirtualWorld } from './virtual.ts';

const TOLD = { 'x-ratelimit-limit-requests': '100', 'x-ratelimit-remaining-requests': '40', 'x-ratelimit-limit-tokens': '9000' };

function withHeaders(answer: SimulatedResponse, headers: Record<string, string>): SimulatedResponse {
  const steps = [...answer.steps].map((step) => (step.do === 'head' ? { ...step, headers: { ...step.headers, ...headers } } : step));
  return { ...answer, steps };
}

describe('what was learned', () => {
  it('is shown with the target, and cleared when it is reset', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => withHeaders(chatResponse(), TOLD) } });
    await world.answerTo();
    const limits = () => targetsOf(world)[0]!.learned.limits;
    assert.deepEqual(
      limits().map(({ kind, source, limit }) => [kind, source, limit]),
      [
        ['requests', 'reported', 100],
        ['tokens', 'reported', 9000],
      ],
    );
    assert.ok(limits()[0]!.available <= 41);
    assert.ok(world.gateway.reset('a/m'));
    assert.deepEqual(limits(), []);
  });

  it('applies to later requests without a restart', async (t) => {
    const told = { 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '60s' };
    const world = await startVirtualWorld(t, { providers: { a: (call) => withHeaders(chatResponse(), call.number === 1 ? told : {}) } });
    await world.answerTo();
    const at = world.clock.now();
    await world.answerTo();
    const waitedMs = world.upstream.calls[1]!.at - at;
    assert.ok(waitedMs >= 1000 && waitedMs < 1300, `${waitedMs} ms for one of sixty per minute`);
  });

  it('belongs to one key and model by default', async (t) => {
    const world = await keyed(t, 2, (key) => withHeaders(chatResponse(), key === 0 ? TOLD : {}));
    for (let i = 0; i < 2; i++) await world.answerTo();
    assert.deepEqual(
      targetsOf(world).map(({ learned }) => learned.limits.length),
      [2, 0],
    );
  });

  it('of a caller’s own key is not kept', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => withHeaders(chatResponse(), TOLD) }, keys: 'caller' });
    await world.answerTo();
    assert.deepEqual(targetsOf(world)[0]!.learned.limits, []);
  });

  it('of random refusals is nothing: after the first only the refused request waits, for its own Retry-After', async (t) => {
    const isRefused = (number: number): boolean => number === 100 || (number > 200 && number % 20 === 0);
    const world = await startVirtualWorld(t, {
      providers: {
        a: (call) => (isRefused(call.number) ? chatError(429, {}, { 'retry-after': '1' }) : chatResponse({ headersAfterMs: 100 })),
      },
    });
    await world.answerTo();
    const asked: ReturnType<typeof world.ask>[] = [];
    for (let i = 0; i < 1_000; i++) {
      asked.push(world.ask());
      await world.clock.advanceAsync(20);
    }
    const seen = await world.until(Promise.all(asked.map(({ done }) => done)));
    assert.ok(seen.every(({ status }) => status === 200));
    assert.deepEqual(
      world.eventsOf('cooldown').map(({ forMs }) => forMs),
      [1000],
    );
    const refused = world.eventsOf('attempt_end').filter(({ verdict }) => verdict === 'retry');
    assert.ok(refused.length >= 40, `${refused.length}`);
    const starts = world.eventsOf('attempt');
    for (const { requestId, at, attempt } of refused) {
      const again = starts.find((start) => start.requestId === requestId && start.attempt === attempt + 1)!;
      assert.ok(again.at - at >= 999 && again.at - at < 3000, `${again.at - at} ms`);
    }
    assert.deepEqual(targetsOf(world)[0]!.learned.limits, []);
  });

  it('of an overload delays later requests, not running ones', async (t) => {
    const policy = { breaker: { consecutiveFailures: 1000, minRequests: 1000 }, maxAttempts: 1 };
    let refuses = false;
    const slow = { steps: [{ do: 'wait', ms: 5000 } as const, ...chatResponse().steps] };
    const world = await startVirtualWorld(t, { providers: { a: () => (refuses ? chatError(503) : slow) }, config: { policy } });
    await world.answerTo();
    const running = times(50, () => world.ask().done);
    await world.clock.advanceAsync(100);
    refuses = true;
    assert.equal((await world.answerTo()).status, 503);
    assert.equal(targetsOf(world)[0]!.learned.concurrency, 40);
    refuses = false;
    for (const { status } of await world.until(Promise.all(running))) assert.equal(status, 200);
  });

  it('admits the next one as soon as a response starts and shows that there is capacity', async (t) => {
    const policy = { breaker: { consecutiveFailures: 1000, minRequests: 1000 }, maxAttempts: 1 };
    let refuses = false;
    const long = () => chatStream({ headersAfterMs: 1000, gapMs: 60_000 });
    const world = await startVirtualWorld(t, { providers: { a: () => (refuses ? chatError(503) : long()) }, config: { policy } });
    const running = times(15, () => world.ask({ stream: true }));
    await world.clock.advanceAsync(2000);
    refuses = true;
    assert.equal((await world.answerTo()).status, 503);
    refuses = false;
    const leaving = running.splice(0, 6);
    for (const one of leaving) one.leave();
    await Promise.allSettled(leaving.map(({ done }) => done));
    await world.clock.advanceAsync(100);
    const limit = targetsOf(world)[0]!.learned.concurrency!;
    running.push(...times(limit + 3 - running.length, () => world.ask({ stream: true })));
    await world.clock.advanceAsync(5000);
    const allowed = targetsOf(world)[0]!.learned.concurrency!;
    assert.ok(allowed > limit);
    const { inFlight } = targetsOf(world)[0]!;
    assert.equal(inFlight, Math.min(allowed, limit + 3));
    await world.until(Promise.all(running.map(({ done }) => done)));
  });
});
