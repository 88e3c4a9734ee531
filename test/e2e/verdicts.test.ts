/**
 * What becomes of faults together and over time: waits that a provider asks for, credentials, several targets that fail,
 * targets that can't be reached, and the breaker. Each fault by itself stands in `every-fault.test.ts`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatStream } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import type { StormFault } from '../../src/storm/index.ts';
import { startVirtualWorld } from './virtual.ts';
import { contentOf, errorOf, startWorld } from './world.ts';
import type { Seen, World } from './world.ts';

/** Short pauses; everything else as by default. */
const config = { policy: { retry: { baseDelay: '4ms', maxDelay: '16ms' } } } as const;

const MAX_ATTEMPTS = 4;

function assertAnswered(seen: Seen, by: string, attempts: number, fallback: string | null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), by);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
  assert.notEqual(contentOf(seen.text), '');
}

describe('an error in JSON where a stream was asked', () => {
  it('is judged by its own words (virtual time)', async (t) => {
    const error = JSON.stringify({ error: { message: 'slow down', code: 'rate_limit_exceeded', type: 'requests' } });
    const steps = [
      { do: 'head', status: 200, headers: { 'content-type': 'application/json' } } as const,
      { do: 'send', bytes: error } as const,
    ];
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps }), b: () => chatStream() } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'rate_limited');
    assert.equal(contentOf(seen.text), 'one two three');
    assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
  });
});

describe('a wait that the provider asks for', { concurrency: 8 }, () => {
  const gapOf = (world: World) => {
    const [first = 0, second = 0] = world.storms['a']!.stats().starts;
    return second - first;
  };
  const waits = [
    { name: 'in seconds', fault: { kind: '429-retry', retryAfter: 1 }, atLeast: 1000, below: 3400 },
    {
      name: 'in milliseconds, before the seconds',
      fault: { kind: '429-retry', retryAfter: 1, retryAfterMs: 250 },
      atLeast: 250,
      below: 950,
    },
    { name: 'as a date', fault: { kind: '429-date', ms: 2000 }, atLeast: 900, below: 3400 },
    { name: 'in words', fault: { kind: '429-text', ms: 700 }, atLeast: 700, below: 2000 },
    { name: 'with a 503', fault: { kind: '503', retryAfter: '0.6' }, atLeast: 600, below: 2000 },
  ] as const;
  for (const { name, fault, atLeast, below } of waits) {
    it(`is kept at one target alone: ${name}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ ...fault, calls: { first: 1 } }] } }, config });
      const seen = await world.ask();
      assertAnswered(seen, 'a/m', 2, null);
      const gap = gapOf(world);
      assert.ok(gap >= atLeast && gap < below, `${gap} ms between the calls`);
    });

    it(`holds nobody who can go elsewhere: ${name}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ ...fault, calls: { first: 1 } }] }, b: {} }, config });
      const startedAt = performance.now();
      assertAnswered(await world.ask(), 'b/m', 2, fault.kind === '503' ? 'overloaded' : 'rate_limited');
      const next = await world.ask();
      // On a busy machine the wait may be over by now.
      if (performance.now() - startedAt < 150) assert.equal(next.headers.get('x-breakwater-target'), 'b/m');
    });
  }

  it('of exactly the longest that is waited for is waited for', async (t) => {
    const policy = { ...config.policy, retry: { ...config.policy.retry, maxRetryAfter: '1s' } };
    const faults = [{ kind: '429-retry', retryAfter: 1, calls: { first: 1 } }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] } }, config: { policy } });
    assertAnswered(await world.ask(), 'a/m', 2, null);
  });

  it('of a day is told to the caller, and the target is left alone', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 86_400 }] } }, config });
    const first = await world.ask();
    assert.equal(first.status, 429);
    assert.equal(first.headers.get('retry-after'), '86400');
    assert.equal(first.headers.get('x-should-retry'), 'false');
    assert.ok(first.ms < 5000);
    const second = await world.ask();
    assert.deepEqual([second.status, errorOf(second.text).code], [429, 'rate_limited']);
    assert.ok(Number(second.headers.get('retry-after')) > 86_000);
    assert.equal(second.headers.get('x-should-retry'), 'false');
    assert.equal(world.storms['a']!.stats().calls, 1);
    assert.ok(world.gateway.targets()[0]!.cooldownMs > 86_000_000);
  });

  it('of a day with a second target sends everybody there', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 86_400 }] }, b: {} }, config });
    assertAnswered(await world.ask(), 'b/m', 2, 'rate_limited');
    assertAnswered(await world.ask(), 'b/m', 1, 'rate_limited');
    assert.equal(world.storms['a']!.stats().calls, 1);
  });

  it('beyond the deadline is not slept', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 30 }] } }, config });
    const seen = await world.ask({}, { 'x-breakwater-deadline-ms': '2000' });
    assert.ok(seen.ms < 1800, `${seen.ms} ms`);
    assert.equal(seen.status, 429);
    assert.ok(['29', '30'].includes(seen.headers.get('retry-after')!));
    assert.equal(world.storms['a']!.stats().calls, 1);
  });

  for (const value of ['-1', 'soon', '99999999999', '1e400', 'NaN']) {
    it(`that makes no sense is not believed: ${value}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-absurd', retryAfter: value }] } }, config });
      const seen = await world.ask();
      assert.equal(world.storms['a']!.stats().calls, MAX_ATTEMPTS);
      assert.ok(seen.ms < 1000);
      assert.ok(Number(seen.headers.get('retry-after') ?? 0) <= 1);
    });
  }
});

describe('one of two credentials', () => {
  it('that is refused is quarantined; its caller never hears of it', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { apiKeys: ['sk-good'] } },
      providers: { a: { apiKeys: ['sk-bad', 'sk-good'] } },
      config,
    });
    for (let i = 0; i < 20; i++) assert.equal((await world.ask()).status, 200);
    const refusals = world.storms['a']!.stats().byStatus['401'] ?? 0;
    assert.ok(refusals <= 1, `${refusals} calls with the bad key`);
    assert.equal(world.storms['a']!.stats().calls, 20 + refusals);
    const quarantined = world.gateway.targets().filter((target) => target.quarantinedMs > 0);
    assert.deepEqual(
      quarantined.map((target) => target.credential),
      refusals === 0 ? [] : [1],
    );
  });

  it('all refused: one call for each, and upstream_auth_failed', async (t) => {
    const world = await startWorld(t, { storms: { a: { apiKeys: ['x'] } }, providers: { a: { apiKeys: ['k1', 'k2'] } }, config });
    const seen = await world.ask();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [502, 'upstream_auth_failed']);
    assert.equal(world.storms['a']!.stats().calls, 2);
    const next = await world.ask();
    assert.deepEqual([next.status, errorOf(next.text).code], [503, 'no_target_available']);
    assert.ok(Number(next.headers.get('retry-after')) > 200);
    assert.equal(next.headers.get('x-should-retry'), 'false');
    assert.equal(world.storms['a']!.stats().calls, 2);
    assert.doesNotMatch(JSON.stringify(world.events) + seen.text + next.text, /k1|k2/, 'no key is told');
  });

  it('that is spent leaves the other in use', async (t) => {
    const faults = [{ kind: '429-quota', calls: [1] }] as const;
    const world = await startWorld(t, {
      storms: { a: { faults: [{ ...faults[0], calls: [1] }] } },
      providers: { a: { apiKeys: ['k1', 'k2'] } },
      config,
    });
    assert.equal((await world.ask()).status, 200);
    for (let i = 0; i < 10; i++) assert.equal((await world.ask()).status, 200);
    assert.equal(world.storms['a']!.stats().calls, 12);
    assert.equal(
      new Set(
        world
          .eventsOf('attempt')
          .slice(1)
          .map((attempt) => attempt.credential),
      ).size,
      1,
    );
  });
});

describe('several targets that fail', { concurrency: 4 }, () => {
  it('share one budget of attempts', async (t) => {
    const faults = [{ kind: '500' }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] }, b: { faults: [...faults] } }, config });
    const seen = await world.ask();
    const calls = [world.storms['a']!.stats().calls, world.storms['b']!.stats().calls];
    assert.equal(calls[0]! + calls[1]!, MAX_ATTEMPTS);
    assert.deepEqual([seen.status, errorOf(seen.text).code], [500, 'all_targets_failed']);
    assert.match(errorOf(seen.text).message, /1\. a\/m: 500 .*2\. b\/m: 500 .*4\. /);
    assert.equal(seen.headers.get('x-breakwater-attempts'), '4');
  });

  it('for a reason that lies in the request pass the last words on', async (t) => {
    const faults = [{ kind: '400-context' }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] }, b: { faults: [...faults] } }, config });
    const seen = await world.ask();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'context_length_exceeded']);
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 1]);
  });

  it('are not asked at all where the caller turned fallback off', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: 'error-preamble' }] }, b: {} }, config });
    const seen = await world.ask({ stream: true }, { 'x-breakwater-fallback': 'off' });
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [4, 0]);
    assert.equal(seen.status, 502);
  });

  it('a field that a target does not take is left out for it once', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '400-parameter', param: 'temperature' }] }, b: {} }, config });
    assertAnswered(await world.ask({ temperature: 0.2 }), 'a/m', 2, null);
    assert.equal(world.storms['b']!.stats().calls, 0);
    assert.match(world.eventsOf('note')[0]!.note, /temperature left out/);
  });

  for (const [name, retryAfter] of [
    ['for half a minute', '30'],
    ['for a day', '86400'],
  ] as const) {
    it(`a target that does not take a field, and pauses ${name}, is not waited for (virtual time)`, async (t) => {
      const failure = (afterMs: number, status: number, headers: Record<string, string>, error: object): SimulatedResponse => ({
        steps: [
          { do: 'wait', ms: afterMs },
          { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
          { do: 'send', bytes: JSON.stringify({ error }) },
        ],
      });
      const unsupported = { message: 'no', type: 'invalid_request_error', code: 'unsupported_parameter', param: 'temperature' };
      const a = (call: SimulatedCall) =>
        call.body.includes('temperature')
          ? failure(50, 400, {}, unsupported)
          : failure(20, 429, { 'retry-after': retryAfter }, { message: 'slow down', code: 'rate_limit_exceeded' });
      const world = await startVirtualWorld(t, { providers: { a, b: () => chatResponse() } });
      const asked = world.ask({ temperature: 0.2 });
      world.ask();
      const seen = await world.until(asked.done);
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.ok(seen.endAtMs < 100, `${seen.endAtMs} ms`);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [2, 2]);
    });
  }
});

describe('a target that cannot be reached', { concurrency: 4 }, () => {
  const places = { refused: 'http://127.0.0.1:1/v1', 'no TLS where TLS is asked': null } as const;
  for (const [name, place] of Object.entries(places)) {
    it(`${name}: counted, marked, and the next one answers`, async (t) => {
      const world = await startWorld(t, {
        storms: { a: {}, b: {} },
        providers: { a: { baseUrl: place ?? 'https://127.0.0.1:1/v1' } },
        config,
      });
      assertAnswered(await world.ask(), 'b/m', 2, 'connection');
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 1);
      assert.equal(world.eventsOf('attempt_end')[0]!.failure, 'connect');
    });

    it(`${name}, alone: tried again, then told`, async (t) => {
      const world = await startWorld(t, { storms: { a: {} }, providers: { a: { baseUrl: place ?? 'https://127.0.0.1:1/v1' } }, config });
      const seen = await world.ask();
      assert.deepEqual([seen.status, errorOf(seen.text).code], [502, 'all_targets_failed']);
      assert.equal(seen.headers.get('x-breakwater-attempts'), '4');
    });
  }
});

describe('a connection that the provider closes while it lies idle', { concurrency: 2 }, () => {
  const faults: StormFault[] = [{ kind: 'reset', calls: [2] }];

  it('costs an attempt, but is no mark against its target', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [...faults] } }, config });
    assertAnswered(await world.ask(), 'a/m', 1, null);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assertAnswered(await world.ask(), 'a/m', 2, null);
    assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
    assert.equal(world.eventsOf('attempt_end')[1]!.reason, 'connection');
  });

  it('is asked again at once, whatever is left of the retry budget', async (t) => {
    const retry = { baseDelay: '5s', maxDelay: '5s', budget: { ratio: 0, minPerSecond: 0 } };
    const world = await startWorld(t, { storms: { a: { faults: [...faults] } }, config: { policy: { ...config.policy, retry } } });
    assertAnswered(await world.ask(), 'a/m', 1, null);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assertAnswered(await world.ask(), 'a/m', 2, null);
    assert.equal(world.eventsOf('backoff').length, 0);
  });

  it('is not taken for one that breaks over the request itself', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [...faults] } }, config });
    assertAnswered(await world.ask(), 'a/m', 1, null);
    assertAnswered(await world.ask(), 'a/m', 2, null);
    assert.ok(world.gateway.targets()[0]!.breaker.failureRatio > 0);
  });
});

describe('the breaker of a target', { concurrency: 4 }, () => {
  const quick = { policy: { ...config.policy, maxAttempts: 1, breaker: { openFor: '300ms' } } };

  it('opens after five failures in a row; nobody is sent there, and the caller hears when it may', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { faults: [{ kind: '500' }] } },
      config: { policy: { ...config.policy, maxAttempts: 1 } },
    });
    for (let i = 0; i < 5; i++) assert.equal((await world.ask()).status, 500);
    for (let i = 0; i < 20; i++) {
      const seen = await world.ask({}, { 'x-breakwater-deadline-ms': '1000' });
      assert.deepEqual([seen.status, errorOf(seen.text).code], [503, 'no_target_available']);
      assert.equal(seen.headers.get('x-should-retry'), 'true');
      const waitMs = Number(seen.headers.get('retry-after-ms'));
      assert.ok(waitMs > 3000 && waitMs <= 6000, `${waitMs} ms`);
      assert.equal(seen.headers.get('x-breakwater-attempts'), '0');
    }
    assert.equal(world.storms['a']!.stats().calls, 5);
    assert.deepEqual(
      world.eventsOf('breaker').map((event) => [event.from, event.to]),
      [['closed', 'open']],
    );
  });

  it('open sends everybody to the next tier; a probe brings traffic back', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { faults: [{ kind: '500' }] }, b: {} },
      config: { policy: { ...config.policy, breaker: { openFor: '300ms' } } },
    });
    for (let i = 0; i < 5; i++) assertAnswered(await world.ask(), 'b/m', 2, 'server_error');
    assertAnswered(await world.ask({}, { 'x-breakwater-deadline-ms': '250' }), 'b/m', 1, 'open');
    world.storms['a']!.setFaults([]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    for (let i = 0; i < 3; i++) assertAnswered(await world.ask(), 'a/m', 1, null);
    assert.deepEqual(
      world.eventsOf('breaker').map((event) => event.to),
      ['open', 'half-open', 'closed'],
    );
  });

  it('is waited for where it may close within the deadline', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500', calls: { first: 5 } }] } }, config: quick });
    for (let i = 0; i < 5; i++) await world.ask();
    const seen = await world.ask();
    assertAnswered(seen, 'a/m', 1, null);
    assert.ok(Number(seen.headers.get('x-breakwater-queue-ms')) >= 200);
  });

  it("stays closed over a hundred faults of the caller's own", async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '400' }] } }, config });
    for (let i = 0; i < 100; i++) assert.equal((await world.ask()).status, 400);
    assert.equal(world.storms['a']!.stats().calls, 100);
    assert.equal(world.gateway.targets()[0]!.breaker.state, 'closed');
  });

  it('stays closed over one error in fifty', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500', calls: { every: 50 } }] } }, config });
    for (let i = 0; i < 150; i++) assert.equal((await world.ask()).status, 200);
    assert.equal(world.storms['a']!.stats().calls, 153);
    assert.equal(world.eventsOf('breaker').length, 0);
  });
});
