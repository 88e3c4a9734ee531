/** Several keys of one provider: their order of use, and the effect of a refusal. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { ascending, badKey, keyed, keyOf, KEYS, limited, MINUTE, refusing, spent, statuses, targetsOf, times } from './keyed.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import { startWorld } from './world.ts';
import type { World } from './world.ts';

describe('keys without any affinity', () => {
  it('are used in turn', async (t) => {
    const world = await keyed(t, 3, () => null);
    for (let i = 0; i < 30; i++) assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual(world.byKey(), [10, 10, 10]);
    assert.deepEqual(await statuses(world, 60), [200]);
    assert.deepEqual(world.byKey(), [30, 30, 30]);
  });

  it('each have the limits of the provider, and no key exceeds its own', async (t) => {
    const world = await keyed(t, 2, () => null, { limits: { requestsPerMinute: 60 } });
    const startedAt = world.clock.now();
    const seen = world.until(Promise.all(times(140, () => world.ask().done)));
    await world.clock.advanceAsync(0);
    assert.deepEqual(world.byKey(), [60, 60]);
    assert.ok((await seen).every((answer) => answer.status === 200));
    assert.deepEqual(world.byKey(), [70, 70]);
    const took = world.clock.now() - startedAt;
    assert.ok(took >= 10_000 && took < 12_000, `${took} ms for 20 at 2 per second`);
  });

  it('each have the additional limits of a model', async (t) => {
    const world = await keyed(t, 2, () => null);
    const input: ConfigInput = {
      providers: {
        a: {
          protocol: 'openai',
          baseUrl: 'http://a/v1',
          apiKeys: KEYS.slice(0, 2),
          limits: { requestsPerMinute: 100 },
          models: { m: { limits: { requestsPerMinute: 10 } } },
        },
      },
      models: { fast: ['a/m'], other: ['a/other'] },
    };
    await world.gateway.reload(configOf(input));
    const asked = world.until(Promise.all(times(24, () => world.ask().done)));
    await world.clock.advanceAsync(0);
    assert.deepEqual(world.byKey(), [10, 10]);
    await asked;
    assert.equal((await world.answerTo({ model: 'other' })).headers.get('x-breakwater-queue-ms'), '0');
  });
});

describe('a key that is rate limited', () => {
  it('is paused for the given time while another one serves, and then used again', async (t) => {
    let limitedUntil = Infinity;
    const world = await keyed(t, 2, (key, _nth, call) => (key === 0 && call.at < limitedUntil ? limited('30') : null));
    limitedUntil = world.clock.now() + 30_000;
    for (let i = 0; i < 20; i++) {
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, seen.endAtMs], [200, 0]);
      assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    }
    assert.deepEqual(world.byKey(), [1, 20]);
    await world.clock.advanceAsync(29_900);
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual(world.byKey(), [1, 21]);
    await world.clock.advanceAsync(10_000);
    for (let i = 0; i < 20; i++) {
      assert.equal((await world.answerTo()).headers.get('x-breakwater-attempts'), '1');
      await world.clock.advanceAsync(1000);
    }
    const [first, second] = world.byKey();
    assert.ok(first! + second! === 42 && first! >= 11 && first! <= 12, `${first} and ${second}`);
  });

  it('is paused alone: other models of the key continue, and so does the same model with other keys', async (t) => {
    const world = await keyed(t, 2, (key, _nth, call) => (key === 0 && call.body.includes('"m"') ? limited('30') : null), {
      models: { fast: ['a/m'], other: ['a/n'] },
    });
    for (let i = 0; i < 10; i++) await world.answerTo();
    for (let i = 0; i < 10; i++) await world.answerTo({ model: 'other' });
    assert.deepEqual(world.byKey(), [6, 15]);
    assert.deepEqual(
      world.eventsOf('cooldown').map(({ subject, reason, forMs }) => [subject, reason, forMs]),
      [['a/m#1', 'rate_limited', 30_000]],
    );
    const byCredential = targetsOf(world, 'a/m', 'a/n').map(({ target, credential, cooldownMs }) => [target, credential, cooldownMs > 0]);
    assert.deepEqual(byCredential, [
      ['a/m', 1, true],
      ['a/m', 2, false],
      ['a/n', 1, false],
      ['a/n', 2, false],
    ]);
  });

  it('is waited for if all keys are limited, each after one call', async (t) => {
    const world = await keyed(t, 3, (_key, nth) => (nth === 1 ? limited('5') : null));
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.ok(seen.endAtMs >= 5000 && seen.endAtMs < 5200, `${seen.endAtMs} ms`);
    assert.deepEqual(world.byKey().sort(ascending), [1, 1, 2]);
  });
});

describe('a key of a provider whose preset limits all models of a key together', () => {
  it('that is rate limited for one model pauses for all, and the other keys serve', async (t) => {
    const world = await keyed(t, 2, (key) => (key === 0 ? limited('30') : null));
    const provider = { preset: 'deepseek' as const, baseUrl: 'http://a/v1', apiKeys: KEYS.slice(0, 2) };
    await world.gateway.reload(configOf({ providers: { a2: provider }, models: { fast: ['a2/m'], other: ['a2/n'] } }));
    for (let i = 0; i < 10; i++) assert.equal((await world.answerTo({ model: i % 2 === 0 ? 'fast' : 'other' })).status, 200);
    assert.deepEqual(world.byKey(), [1, 10]);
    assert.deepEqual(
      world.eventsOf('cooldown').map(({ subject }) => subject),
      ['a2#1'],
    );
    assert.ok(world.gateway.reset('a2/n'));
    await world.answerTo({ model: 'fast' });
    await world.answerTo({ model: 'fast' });
    assert.equal(world.byKey()[0], 2);
  });
});

for (const [what, refusal, quarantineMs] of [
  ['refused', badKey, 5 * MINUTE],
  ['spent', spent, 10 * MINUTE],
] as const) {
  describe(`a key that is ${what}`, () => {
    it('is quarantined for all its models after one call, and no caller notices', async (t) => {
      const world = await keyed(t, 2, (key) => (key === 0 ? refusal() : null), { models: { fast: ['a/m'], other: ['a/n'] } });
      for (let i = 0; i < 20; i++) assert.equal((await world.answerTo({ model: i % 2 === 0 ? 'fast' : 'other' })).status, 200);
      assert.deepEqual(world.byKey(), [1, 20]);
      const quarantined = targetsOf(world, 'a/m', 'a/n').filter((target) => target.quarantinedMs > 0);
      assert.deepEqual(
        quarantined.map(({ target, credential }) => `${target}#${credential}`),
        ['a/m#1', 'a/n#1'],
      );
    });

    it('is probed by one request after its quarantine, which doubles each time, up to an hour', async (t) => {
      const world = await keyed(t, 2, (key) => (key === 0 ? refusal() : chatResponse({ headersAfterMs: 50 })));
      await statuses(world, 2);
      assert.equal(world.byKey()[0], 1);
      const rests: number[] = [];
      for (let round = 2; round <= 7; round++) {
        const quarantinedMs = targetsOf(world)[0]!.quarantinedMs;
        rests.push(Math.round(quarantinedMs / MINUTE));
        await world.clock.advanceAsync(quarantinedMs + 1);
        assert.deepEqual(await statuses(world, 100), [200]);
        assert.equal(world.byKey()[0], round);
      }
      const growing = [1, 2, 4, 8, 16, 32].map((factor) => Math.min(60, (quarantineMs / MINUTE) * factor));
      assert.deepEqual(rests, growing);
    });

    it('that has recovered carries its half after one probe', async (t) => {
      let good = false;
      const world = await keyed(t, 2, (key) => (key === 0 && !good ? refusal() : null));
      await statuses(world, 2);
      good = true;
      await world.clock.advanceAsync(quarantineMs + 1);
      for (let i = 0; i < 20; i++) await world.answerTo();
      assert.deepEqual(world.byKey(), [11, 12]);
    });
  });
}

describe('a key that dies', () => {
  it('with a hundred requests in flight gets no further calls, and is quarantined once', async (t) => {
    const world = await keyed(
      t,
      2,
      (key) => (key === 0 ? refusing(401, 'invalid_api_key', {}, 20) : chatResponse({ headersAfterMs: 20 })),
      {
        limits: { concurrency: 10 },
      },
    );
    assert.deepEqual(await statuses(world, 100), [200]);
    assert.deepEqual(world.byKey(), [10, 100]);
    assert.equal(world.eventsOf('cooldown').length, 1);
    assert.ok(targetsOf(world)[0]!.quarantinedMs <= 5 * MINUTE);
  });

  it('as the only one costs a single call per quarantine, whatever the load', async (t) => {
    const world = await keyed(t, 1, badKey);
    assert.deepEqual(await statuses(world, 1), [502]);
    assert.deepEqual(await statuses(world, 50), [503]);
    assert.deepEqual(world.byKey(), [1]);
    await world.clock.advanceAsync(5 * MINUTE + 1);
    assert.deepEqual(new Set(await statuses(world, 50)), new Set([502, 503]));
    assert.deepEqual(world.byKey(), [2]);
  });

  it('is probed at once after a manual reset', async (t) => {
    let good = false;
    const world = await keyed(t, 1, () => (good ? null : badKey()));
    await statuses(world, 1);
    good = true;
    assert.deepEqual(await statuses(world, 1), [503]);
    assert.ok(world.gateway.reset('a/m'));
    assert.deepEqual(await statuses(world, 20), [200]);
    assert.deepEqual(world.byKey(), [21]);
  });

  it('is not probed by a request that may be sent only once, while another key is available', async (t) => {
    const world = await keyed(t, 2, (key) => (key === 0 ? badKey() : null), { config: { policy: { maxAttempts: 1 } } });
    await statuses(world, 2);
    await world.clock.advanceAsync(6 * MINUTE);
    for (let i = 0; i < 10; i++) assert.equal((await world.answerTo({}, { 'session-id': `s${i}` })).status, 200);
    assert.equal(world.byKey()[0], 1);
  });

  it('lets the other keys serve while its probe hangs', async (t) => {
    const world = await keyed(t, 2, (key, nth) => (key !== 0 ? null : nth === 1 ? badKey() : chatResponse({ headersAfterMs: 30_000 })));
    await statuses(world, 2);
    await world.clock.advanceAsync(6 * MINUTE);
    const asked = times(20, (i) => world.ask({}, i % 2 === 0 ? { 'session-id': `s${i}` } : {}).done);
    await world.clock.advanceAsync(1);
    const soon = await Promise.race([Promise.all(asked.slice(1)).then(() => 'answered'), Promise.resolve().then(() => world.byKey()[1])]);
    assert.ok(soon === 'answered' || (soon as number) >= 19);
    assert.equal(world.byKey()[0], 2);
    await world.until(Promise.all(asked));
  });
});

describe('an outage of a provider with many keys', () => {
  it('is no reason to try each of them before the next provider', async (t) => {
    const world = await keyed(t, 3, () => refusing(500, 'server_error'), { providers: { b: () => chatResponse() } });
    for (let i = 0; i < 20; i++) assert.equal((await world.answerTo()).status, 200);
    assert.equal(
      world.byKey().reduce((sum, calls) => sum + calls, 0),
      5,
      'one breaker, and one call per request before it opened',
    );
    assert.equal(world.callsTo('b'), 20);
  });

  it('is one breaker, reported once', async (t) => {
    const world = await keyed(t, 3, () => refusing(500, 'server_error'), { config: { policy: { maxAttempts: 1 } } });
    for (let i = 0; i < 6; i++) await world.answerTo({}, { 'x-breakwater-deadline-ms': '1000' });
    assert.equal(
      world.byKey().reduce((sum, calls) => sum + calls, 0),
      5,
    );
    assert.deepEqual(
      targetsOf(world).map((target) => target.breaker.state),
      ['open', 'open', 'open'],
    );
    assert.equal(world.eventsOf('breaker').length, 1);
    assert.equal(world.gateway.snapshot().breakers.filter(({ target }) => target === 'a/m').length, 1);
  });
});

function configOf(input: ConfigInput) {
  const parsed = parseConfig(input, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

const withKeys = (keys: readonly string[], limits = {}) =>
  configOf({ providers: { a: { protocol: 'openai', baseUrl: 'http://a/v1', apiKeys: [...keys], limits } }, models: { fast: ['a/m'] } });

describe('a reload that changes the keys', () => {
  it('preserves what is known of each key, whatever its position', async (t) => {
    const limits = { requestsPerMinute: 60 };
    const world = await keyed(t, 2, (key) => (key === 0 ? badKey() : null), { limits });
    for (let i = 0; i < 20; i++) await world.answerTo();
    assert.deepEqual(world.byKey(), [1, 20]);
    await world.gateway.reload(withKeys([KEYS[2]!, KEYS[1]!, KEYS[0]!], limits));
    const shown = () =>
      targetsOf(world).map(({ credential, quarantinedMs, limits: [limit] }) => [
        credential,
        quarantinedMs > 0,
        Math.round(limit!.available),
      ]);
    assert.deepEqual(shown(), [
      [1, false, 60],
      [2, false, 40],
      [3, true, 59],
    ]);
    await world.gateway.reload(withKeys([KEYS[1]!], limits));
    assert.deepEqual(shown(), [[1, false, 40]]);
    assert.deepEqual(
      world.gateway.snapshot().resources.map(({ id, available }) => [id, Math.round(available)]),
      [['a#1:requestsPerMinute', 40]],
    );
    await world.gateway.reload(withKeys([KEYS[0]!, KEYS[1]!], limits));
    assert.deepEqual(shown(), [
      [1, true, 59],
      [2, false, 40],
    ]);
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.byKey()[0], 1);
  });

  it('lets requests in flight with a removed key finish', async (t) => {
    const world = await keyed(t, 2, () => chatResponse({ headersAfterMs: 100 }));
    const asked = times(4, () => world.ask().done);
    await world.clock.advanceAsync(1);
    assert.deepEqual(world.byKey(), [2, 2]);
    await world.gateway.reload(withKeys([KEYS[1]!]));
    assert.equal(targetsOf(world)[0]!.inFlight, 2);
    for (const seen of await world.until(Promise.all(asked))) assert.equal(seen.status, 200);
    assert.equal(targetsOf(world)[0]!.inFlight, 0);
    await world.answerTo();
    assert.deepEqual(world.byKey(), [2, 3]);
  });
});

describe("the caller's own key", () => {
  it('that is limited or refused delays no other caller', async (t) => {
    const world = await startVirtualWorld(t, {
      keys: 'caller',
      providers: { a: (call) => (keyOf(call) === 'limited' ? limited('30') : keyOf(call) === 'bad' ? badKey() : chatResponse()) },
      config: { policy: { maxAttempts: 2 } },
    });
    const as = (key: string) => world.answerTo({}, { authorization: `Bearer ${key}`, 'x-breakwater-deadline-ms': '1000' });
    assert.equal((await as('limited')).status, 429);
    assert.equal((await as('bad')).status, 401);
    const good = await as('good');
    assert.deepEqual([good.status, good.endAtMs], [200, 0]);
    assert.deepEqual(
      targetsOf(world).map(({ cooldownMs, quarantinedMs }) => [cooldownMs, quarantinedMs]),
      [[0, 0]],
    );
    assert.equal(world.eventsOf('cooldown').length, 0);
  });
});

describe('the list of models of a provider', () => {
  it('is requested with a healthy key', async (t) => {
    const world = await keyed(t, 2, (key, _nth, call) => {
      if (key === 0) return badKey();
      return call.request.method === 'GET' ? listing('late') : null;
    });
    await statuses(world, 2);
    assert.equal((await world.answerTo({ model: 'late' })).status, 200);
    assert.equal(world.byKey()[0], 1);
  });

  function listing(id: string): SimulatedResponse {
    return {
      steps: [
        { do: 'head', status: 200 },
        { do: 'send', bytes: JSON.stringify({ data: [{ id }] }) },
      ],
    };
  }
});

describe('on real sockets', { concurrency: 4 }, () => {
  const keys = KEYS.slice(0, 2);
  const callsBy = (world: World) =>
    keys.map((key) => world.storms['a']!.stats().log.filter((call) => call.headers?.authorization === `Bearer ${key}`).length);

  it('two keys with real limits carry twice as much, and the provider counts no violation', async (t) => {
    const limits = { requestsPerMinute: 60 };
    const world = await startWorld(t, { storms: { a: { limits, keepBodies: 200 } }, providers: { a: { limits, apiKeys: keys } } });
    const seen = await Promise.all(times(110, () => world.ask()));
    assert.ok(seen.every((answer) => answer.status === 200));
    assert.equal(world.storms['a']!.stats().violations.total, 0);
    assert.deepEqual(callsBy(world), [55, 55]);
  });

  it('limits known only to the provider are learned per key from its headers', async (t) => {
    // One more in 15 s: so slow is no machine.
    const storm = { limits: { requestsPerMinute: 4 }, keepBodies: 200 };
    const world = await startWorld(t, { storms: { a: storm }, providers: { a: { apiKeys: keys } } });
    for (let i = 0; i < 8; i++) assert.equal((await world.ask()).status, 200);
    assert.deepEqual(callsBy(world), [4, 4]);
    const late = await world.ask({}, { 'x-breakwater-deadline-ms': '1000' });
    assert.equal(late.status, 429);
    assert.equal(world.storms['a']!.stats().violations.total, 0);
  });

  it('a key that the provider rejects costs one call, and neither key is disclosed', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { apiKeys: [keys[1]!], keepBodies: 200 } },
      providers: { a: { apiKeys: keys } },
    });
    const seen = [];
    for (let i = 0; i < 20; i++) seen.push(await world.ask({ stream: i % 2 === 0 }));
    assert.ok(seen.every((answer) => answer.status === 200));
    assert.deepEqual(callsBy(world), [1, 20]);
    const told = JSON.stringify([
      seen,
      seen.map((answer) => [...answer.headers]),
      world.events,
      targetsOf(world),
      world.gateway.snapshot(),
    ]);
    for (const key of keys) assert.ok(!told.includes(key));
    assert.ok(!/[0-9a-f]{16}/.test(JSON.stringify([targetsOf(world), world.gateway.snapshot(), world.eventsOf('cooldown')])));
  });
});
