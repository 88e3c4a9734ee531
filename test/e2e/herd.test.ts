/** Many requests at once that must wait: none returns too early, and they do not return together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatError } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf, startWorld } from './world.ts';

const HERD = 100;

const statuses = (seen: readonly { readonly status: number }[]) => Object.groupBy(seen, (answer) => answer.status);

describe('a herd in virtual time', () => {
  for (const status of [429, 503]) {
    it(`that was refused with ${status} and Retry-After: 1 resumes after it, spread out`, async (t) => {
      const refusal = chatError(status, {}, { 'retry-after': '1' });
      const refuse = { steps: [{ do: 'wait', ms: 100 } as const, ...refusal.steps] };
      // The breaker is another story: here a herd of 503s must be seen to wait.
      const policy = { breaker: { consecutiveFailures: 1000, minRequests: 1000 } };
      const world = await startVirtualWorld(t, {
        // The first call is answered: a target that nobody has heard of yet would get a part of the herd only.
        providers: { a: (call) => (call.number > 1 && call.number <= 1 + HERD ? refuse : chatResponse()) },
        config: { policy },
      });
      await world.answerTo();
      const asked = Array.from({ length: HERD }, () => world.ask().done);
      const seen = await world.until(Promise.all(asked));
      assert.deepEqual(Object.keys(statuses(seen)), ['200'], seen.find((answer) => answer.status !== 200)?.text ?? '');
      const starts = world.upstream.calls.slice(1).map((call) => call.at);
      assert.equal(starts.length, 2 * HERD, 'each came twice');
      assert.equal(starts[HERD - 1], starts[0], 'all at once');
      const resumed = starts.slice(HERD);
      assert.ok(resumed[0]! - starts[0]! >= 1100, `the first came back at ${resumed[0]} ms`);
      const spreadMs = resumed.at(-1)! - resumed[0]!;
      assert.ok(spreadMs >= 500 && spreadMs < 6000, `came back over ${spreadMs} ms`);
      const early = resumed.filter((at) => at < resumed[0]! + 200).length;
      assert.ok(early <= 10, `${early} in the first fifth of a second`);
      assert.equal(world.gateway.queue().waiting, 0);
      assert.equal(world.eventsOf('finished').length, 1 + HERD);
    });
  }

  it('of requests to a target that fails for a minute is not amplified', async (t) => {
    const policy = { breaker: { consecutiveFailures: 100_000, minRequests: 100_000 } };
    const refuse = { steps: [{ do: 'wait', ms: 200 } as const, ...chatError(500).steps] };
    const world = await startVirtualWorld(t, { providers: { a: () => refuse }, config: { policy } });
    const asked: Promise<unknown>[] = [];
    for (let i = 0; i < 60 * 50; i++) {
      asked.push(world.ask().done);
      await world.clock.advanceAsync(20);
    }
    await world.until(Promise.all(asked));
    const perRequest = world.upstream.calls.length / asked.length;
    assert.ok(perRequest <= 1.21 && perRequest > 1.1, `${perRequest} calls per request`);
  });

  it('is not sent to a half-open breaker whose probe fails', async (t) => {
    const policy = { maxAttempts: 1, breaker: { openFor: '500ms', maxOpenFor: '10m' } };
    const world = await startVirtualWorld(t, { providers: { a: () => chatError(500) }, config: { policy } });
    for (let i = 0; i < 5; i++) await world.answerTo();
    const asked = Array.from({ length: HERD }, () => world.ask({}, { 'x-breakwater-deadline-ms': '900' }).done);
    const seen = await world.until(Promise.all(asked));
    assert.equal(world.upstream.calls.length - 5, 1, 'one probe, and the next one is after the deadline');
    const [probe, ...others] = seen.toSorted((a, b) => a.status - b.status);
    assert.equal(probe!.status, 500);
    for (const other of others) {
      assert.deepEqual([other.status, errorOf(other.text).code], [503, 'no_target_available']);
      assert.ok(other.endAtMs < 700, 'reported as soon as the probe has failed');
      assert.ok(Number(other.headers.get('retry-after-ms')) >= 1000);
    }
  });
});

describe('a herd', { concurrency: true }, () => {
  it('that arrives while a provider refuses sends few calls, and all are served afterwards', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429', retryAfter: 1, until: 1500 }] } } });
    const seen = await Promise.all(Array.from({ length: HERD }, () => world.ask()));
    assert.deepEqual(Object.keys(statuses(seen)), ['200'], seen.find((answer) => answer.status !== 200)?.text ?? '');
    const refused = world.storms['a']!.stats().byStatus['429']!;
    assert.ok(refused <= 20, `${refused} calls were refused`);
    assert.equal(world.storms['a']!.stats().calls, HERD + refused);
  });

  for (const probes of [1, 3]) {
    it(`sends at most ${probes} to a half-open breaker until the result is known`, async (t) => {
      const faults = [{ kind: '500', calls: { first: 5 } }] as const;
      const policy = { maxAttempts: 1, breaker: { openFor: '300ms', probes } };
      const world = await startWorld(t, { storms: { a: { faults: [...faults], timing: { plainMs: 300 } } }, config: { policy } });
      for (let i = 0; i < 5; i++) await world.ask();
      const seen = await Promise.all(Array.from({ length: HERD }, () => world.ask()));
      assert.deepEqual(Object.keys(statuses(seen)), ['200']);
      const starts = world.storms['a']!.stats().starts.slice(5);
      const first = starts[0]!;
      assert.equal(starts.filter((at) => at < first + 290).length, probes);
      assert.equal(starts.length, HERD);
      assert.equal(world.eventsOf('attempt').filter((attempt) => attempt.probe).length, probes);
    });
  }
});
