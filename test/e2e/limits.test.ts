/** External capacity: limits of requests, tokens and concurrency are respected, and waiting requests get accurate information. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { okAnswer } from './loop-world.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf, eventually, startWorld, WAYS } from './world.ts';
import type { Seen, World } from './world.ts';

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

function allAnswered(seen: readonly Seen[]): void {
  assert.deepEqual(
    seen.map((answer) => answer.status),
    seen.map(() => 200),
  );
}

function assertIdle(world: World): void {
  const queue = world.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
  assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
  assert.equal(world.eventsOf('received').length, world.eventsOf('finished').length);
}

const available = (world: World, kind: string, credential = 1) =>
  world.gateway
    .targets()
    .find((target) => target.credential === credential)!
    .limits.find((limit) => limit.kind === kind)!.available;

/** A whole answer; `onEnd` is called when the provider has sent it. */
function* answerAfter(ms: number, onEnd: () => void): Generator<SimulatedStep> {
  yield { do: 'wait', ms };
  onEnd();
  yield { do: 'head', status: 200, headers: { 'content-type': 'application/json' } };
  yield { do: 'send', bytes: okAnswer };
}

describe('a limit of the provider', { concurrency: 4 }, () => {
  for (const way of WAYS) {
    it(`of requests is respected and fully used, ${way}`, async (t) => {
      const limits = { requestsPerMinute: 1200, burst: 0.005 };
      const world = await startWorld(t, { storms: { a: { limits } }, providers: { a: { limits } } });
      // Connections and code are cold at first, and a burst that arrives late is counted late.
      allAnswered(await Promise.all(times(3, () => world.ask({}, {}, way))));
      await eventually(() => available(world, 'requestsPerMinute') >= 6, 'a full bucket');
      const startedAt = performance.now();
      allAnswered(await Promise.all(times(26, () => world.ask({}, {}, way))));
      const seconds = (performance.now() - startedAt) / 1000;
      assert.ok(seconds >= 1 && seconds < 3, `26 requests at 6 + 20 per second took ${seconds} s`);
      assert.equal(world.storms['a']!.stats().violations.total, 0);
      assert.equal(world.storms['a']!.stats().calls, 29);
      assertIdle(world);
    });
  }

  it('of tokens is reserved by the output limit and settled by actual usage', async (t) => {
    const limits = { tokensPerMinute: 6000, burst: 0.2 };
    const world = await startWorld(t, { storms: { a: { timing: { plainMs: 300, tokens: 10 } } }, providers: { a: { limits } } });
    const running = world.ask({ max_tokens: 800 });
    await eventually(() => world.storms['a']!.stats().running === 1, 'the call');
    assert.ok(available(world, 'tokensPerMinute') < 450, 'output limit and prompt are reserved');
    allAnswered([await running]);
    const used = world.eventsOf('finished')[0]!.usage!;
    assert.ok(available(world, 'tokensPerMinute') >= 1200 - used.inputTokens - used.outputTokens, 'unused tokens are returned');
    assertIdle(world);
  });

  it('of tokens makes requests wait until enough tokens are settled', async (t) => {
    const limits = { tokensPerMinute: 6000, burst: 0.2 };
    const world = await startWorld(t, { storms: { a: { timing: { plainMs: 200, tokens: 10 } } }, providers: { a: { limits } } });
    allAnswered(await Promise.all(times(4, () => world.ask({ max_tokens: 1000 }))));
    assert.equal(world.storms['a']!.stats().maxRunning, 1);
    assertIdle(world);
  });

  it('of tokens is released when the call fails', async (t) => {
    const limits = { tokensPerMinute: 6000, burst: 0.2 };
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '400' }] } }, providers: { a: { limits } } });
    for (let i = 0; i < 5; i++) assert.equal((await world.ask({ max_tokens: 1000 })).status, 400);
    assert.ok(available(world, 'tokensPerMinute') > 1150);
  });

  it('of concurrency is respected, and never idle while requests wait', async (t) => {
    const limits = { concurrency: 3 };
    const world = await startWorld(t, { storms: { a: { limits, timing: { plainMs: 100 } } }, providers: { a: { limits } } });
    const startedAt = performance.now();
    allAnswered(await Promise.all(times(12, () => world.ask())));
    const ms = performance.now() - startedAt;
    assert.ok(ms >= 400 && ms < 1500, `${ms} ms`);
    const stats = world.storms['a']!.stats();
    assert.deepEqual([stats.maxRunning, stats.violations.total, stats.calls], [3, 0, 12]);
    assert.equal(available(world, 'concurrency'), 3);
    assertIdle(world);
  });

  it('of one model limits only that model', async (t) => {
    const running = { big: 0, small: 0 };
    let mostBig = 0;
    let mostBeside = 0;
    const world = await startVirtualWorld(t, {
      providers: {
        a(call) {
          const model = (JSON.parse(call.body) as { model: 'big' | 'small' }).model;
          running[model]++;
          mostBig = Math.max(mostBig, running.big);
          if (running.big > 0) mostBeside = Math.max(mostBeside, running.small);
          return { steps: answerAfter(300, () => running[model]--) };
        },
      },
      configured: {
        a: {
          protocol: 'openai',
          baseUrl: 'http://a/v1',
          apiKey: 'sk-test',
          limits: { concurrency: 4 },
          models: { big: { limits: { concurrency: 1 } } },
        },
      },
      models: { big: ['a/big'], small: ['a/small'] },
    });
    const asked = times(12, (i) => world.ask({ model: i % 3 === 0 ? 'big' : 'small' }).done);
    for (const seen of await world.until(Promise.all(asked))) assert.equal(seen.status, 200);
    assert.equal(mostBig, 1);
    assert.equal(mostBeside, 3, 'the remaining capacity is for the others');
    assert.equal(world.upstream.maxRunning, 4);
    assert.equal(world.clock.now(), 1_200, 'four of the one model, one after the other');
    const queue = world.gateway.queue();
    assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
    assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
  });

  it('applies per credential', async (t) => {
    const limits = { concurrency: 1 };
    const storm = { limits, apiKeys: ['k1', 'k2'], timing: { plainMs: 100 } };
    const world = await startWorld(t, { storms: { a: storm }, providers: { a: { limits, apiKeys: ['k1', 'k2'] } } });
    allAnswered(await Promise.all(times(6, () => world.ask())));
    const stats = world.storms['a']!.stats();
    assert.deepEqual([stats.maxRunning, stats.violations.total], [2, 0]);
    const byCredential = [1, 2].map((n) => world.eventsOf('attempt').filter((attempt) => attempt.credential === n).length);
    assert.deepEqual(byCredential, [3, 3]);
    assertIdle(world);
  });
});

describe('a better tier that is busy', { concurrency: 4 }, () => {
  const start = (t: Parameters<typeof startWorld>[0], patience: string) =>
    startWorld(t, {
      storms: { a: { timing: { plainMs: 400 } }, b: {} },
      providers: { a: { limits: { concurrency: 1 } } },
      models: { fast: { targets: ['a/m', 'b/m'], patience } },
    });

  it('is waited for within patience', async (t) => {
    const world = await start(t, '2s');
    const seen = await Promise.all([world.ask(), world.ask()]);
    allAnswered(seen);
    assert.deepEqual(
      seen.map((answer) => answer.headers.get('x-breakwater-target')),
      ['a/m', 'a/m'],
    );
    assert.equal(world.storms['b']!.stats().calls, 0);
  });

  it('is given up when patience is over', async (t) => {
    const world = await start(t, '100ms');
    const first = world.ask();
    await eventually(() => world.storms['a']!.stats().running === 1, 'the first call');
    const second = await world.ask();
    assert.equal(second.headers.get('x-breakwater-target'), 'b/m');
    assert.equal(second.headers.get('x-breakwater-fallback'), 'rate_limited');
    assert.equal(second.headers.get('x-breakwater-attempts'), '1');
    const queuedMs = Number(second.headers.get('x-breakwater-queue-ms'));
    assert.ok(queuedMs >= 95 && queuedMs < 390, `${queuedMs} ms`);
    allAnswered([await first]);
    assert.equal(world.eventsOf('queued').length, 1);
  });

  it('is the only one for a caller who turned fallback off', async (t) => {
    const world = await start(t, '0ms');
    const first = world.ask();
    await eventually(() => world.storms['a']!.stats().running === 1, 'the first call');
    const second = await world.ask({}, { 'x-breakwater-fallback': 'off' });
    assert.equal(second.headers.get('x-breakwater-target'), 'a/m');
    assert.equal(world.storms['b']!.stats().calls, 0);
    allAnswered([await first, second]);
  });
});

describe('a target that is busy when another one requests a pause', { concurrency: 4 }, () => {
  const start = (t: Parameters<typeof startWorld>[0], pause: number) =>
    startWorld(t, {
      storms: { a: { faults: [{ kind: '429-retry', retryAfter: pause, calls: [1] }] }, b: { timing: { plainMs: 500 } } },
      providers: { b: { limits: { concurrency: 1 } } },
      models: { fast: { targets: ['a/m', 'b/m'], patience: '50ms' }, other: ['b/m'] },
    });

  it('serves as soon as it is free, long before the pause is over', async (t) => {
    const world = await start(t, 3);
    const first = world.ask({ model: 'other' });
    await eventually(() => world.storms['b']!.stats().running === 1, 'a busy target');
    const seen = await world.ask();
    allAnswered([await first, seen]);
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.ok(seen.ms < 1500, `${seen.ms} ms`);
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 2]);
    assertIdle(world);
  });

  it('is not waited for beyond patience when the pause is over sooner', async (t) => {
    const world = await start(t, 0.2);
    const first = world.ask({ model: 'other' });
    await eventually(() => world.storms['b']!.stats().running === 1, 'a busy target');
    const seen = await world.ask();
    allAnswered([await first, seen]);
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [2, 1]);
    assertIdle(world);
  });
});

describe('a wait that must end', { concurrency: 4 }, () => {
  const busy = { storms: { a: { timing: { plainMs: 600 } } }, providers: { a: { limits: { concurrency: 1 } } } };

  it('by queue.maxWait is refused then, and says so', async (t) => {
    const world = await startWorld(t, { ...busy, config: { policy: { queue: { maxWait: '200ms' } } } });
    const first = world.ask();
    await eventually(() => world.storms['a']!.stats().running === 1, 'the first call');
    const second = await world.ask();
    assert.deepEqual([second.status, errorOf(second.text).code], [429, 'rate_limited']);
    assert.match(errorOf(second.text).message, /queue\.maxWait was over; a longer one, or a batch/);
    assert.ok(second.ms >= 199 && second.ms < 550, `${second.ms} ms`);
    assert.equal(second.headers.get('x-breakwater-attempts'), '0');
    allAnswered([await first]);
    assert.equal(world.storms['a']!.stats().calls, 1);
    assertIdle(world);
  });

  for (const way of WAYS) {
    it(`by the deadline is refused then, and never sent, ${way}`, async (t) => {
      const world = await startWorld(t, busy);
      const first = world.ask();
      await eventually(() => world.storms['a']!.stats().running === 1, 'the first call');
      const second = await world.ask({}, { 'x-breakwater-deadline-ms': '200' }, way);
      assert.deepEqual([second.status, errorOf(second.text).code], [504, 'deadline_exceeded']);
      assert.match(errorOf(second.text).message, /deadline of 200 ms has passed: \d+ ms waiting for capacity \(a\/m: concurrency limit/);
      assert.ok(second.ms >= 199 && second.ms < 550, `${second.ms} ms`);
      assert.equal(second.headers.get('x-should-retry'), 'false');
      allAnswered([await first]);
      assert.equal(world.storms['a']!.stats().calls, 1);
      assertIdle(world);
    });

    it(`too late for the deadline is refused at once, with the deadline that would have sufficed, ${way}`, async (t) => {
      const limits = { requestsPerMinute: 60, burst: 1 / 60 };
      const world = await startWorld(t, { storms: { a: { limits } }, providers: { a: { limits } } });
      allAnswered([await world.ask()]);
      const refused = await world.ask({}, { 'x-breakwater-deadline-ms': '300' }, way);
      assert.ok(refused.ms < 500, `${refused.ms} ms`);
      const error = errorOf(refused.text);
      assert.deepEqual([refused.status, error.code, error.type], [429, 'rate_limited', 'rate_limit_error']);
      assert.equal(refused.headers.get('x-should-retry'), 'true');
      const waitMs = Number(refused.headers.get('retry-after-ms'));
      assert.ok(waitMs > 700 && waitMs <= 1300, `${waitMs} ms`);
      assert.equal(refused.headers.get('retry-after'), String(Math.ceil(waitMs / 1000)));
      const cure = /x-breakwater-deadline-ms: (\d+)/.exec(error.message)?.[1];
      assert.ok(cure !== undefined, error.message);
      allAnswered([await world.ask({}, { 'x-breakwater-deadline-ms': String(Number(cure) + 1000) }, way)]);
      assert.equal(world.storms['a']!.stats().calls, 2);
      assert.equal(world.storms['a']!.stats().violations.total, 0);
      assertIdle(world);
    });
  }
});

describe('no room to wait', { concurrency: 4 }, () => {
  it('in the queue: queue_full at once, with a time to come back', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { timing: { plainMs: 300 } } },
      providers: { a: { limits: { concurrency: 1 } } },
      config: { policy: { queue: { maxSize: 2 } } },
    });
    const waiting = times(3, () => world.ask());
    await eventually(() => world.gateway.queue().waiting === 2, 'a full queue');
    const refused = await world.ask();
    assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'queue_full']);
    assert.ok(refused.ms < 500);
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    assert.equal(refused.headers.get('x-should-retry'), 'true');
    allAnswered(await Promise.all(waiting));
    assert.equal(world.storms['a']!.stats().calls, 3);
    assertIdle(world);
  });

  for (const way of WAYS) {
    it(`for the bytes of another body: queue_full, ${way}`, async (t) => {
      const world = await startWorld(t, {
        storms: { a: { timing: { plainMs: 300 } } },
        config: { server: { maxBodySize: '1mb', maxBufferedBytes: '1mb' } },
      });
      const large = { messages: [{ role: 'user', content: 'x'.repeat(600_000) }] };
      const first = world.ask(large, {}, way);
      await eventually(() => world.storms['a']!.stats().running === 1, 'the first call');
      const refused = await world.ask(large, {}, way);
      assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'queue_full']);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      allAnswered([await first, await world.ask(large, {}, way)]);
      assert.equal(world.storms['a']!.stats().calls, 2);
      assertIdle(world);
    });
  }
});

describe("a client's own limit", () => {
  it('holds that client, and nobody else', async (t) => {
    const world = await startWorld(t, {
      storms: { a: {} },
      config: {
        clients: [
          { name: 'small', key: 'key-of-small', limits: { requestsPerMinute: 60, burst: 1 / 60 } },
          { name: 'large', key: 'key-of-large' },
        ],
      },
    });
    const as = (name: string, deadlineMs: number) =>
      world.ask({}, { authorization: `Bearer key-of-${name}`, 'x-breakwater-deadline-ms': String(deadlineMs) });
    allAnswered([await as('small', 5000)]);
    const refused = await as('small', 300);
    assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'rate_limited']);
    assert.match(errorOf(refused.text).message, /the client's own limit/);
    const waitMs = Number(refused.headers.get('retry-after-ms'));
    assert.ok(waitMs > 700 && waitMs <= 1300, `${waitMs} ms`);
    allAnswered(await Promise.all(times(10, () => as('large', 300))));
    const patient = await as('small', 5000);
    allAnswered([patient]);
    assert.ok(Number(patient.headers.get('x-breakwater-queue-ms')) > 300);
    assert.equal(world.storms['a']!.stats().calls, 12);
    assertIdle(world);
  });
});

describe('a request larger than a limit', { concurrency: 4 }, () => {
  const limits = { tokensPerMinute: 6000, burst: 0.1 };

  it('of a whole minute is no work for that target: refused at once', async (t) => {
    const world = await startWorld(t, { storms: { a: {} }, providers: { a: { limits } } });
    const seen = await world.ask({ max_tokens: 7000 });
    assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'capability_unsupported']);
    assert.ok(seen.ms < 500);
    assert.equal(world.storms['a']!.stats().calls, 0);
    assertIdle(world);
  });

  it('of a whole minute goes to a target that can', async (t) => {
    const world = await startWorld(t, { storms: { a: {}, b: {} }, providers: { a: { limits } } });
    const seen = await world.ask({ max_tokens: 7000 });
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.equal(world.storms['a']!.stats().calls, 0);
  });

  it('of the burst alone starts on a full bucket, and those after it wait', async (t) => {
    const world = await startWorld(t, { storms: { a: { timing: { tokens: 1000 } } }, providers: { a: { limits } } });
    const seen = await world.ask({ max_tokens: 900 });
    allAnswered([seen]);
    assert.equal(seen.headers.get('x-breakwater-queue-ms'), '0');
    assert.ok(available(world, 'tokensPerMinute') < 0);
    const next = await world.ask({ max_tokens: 10 }, { 'x-breakwater-deadline-ms': '500' });
    assert.equal(errorOf(next.text).code, 'rate_limited');
    assert.equal(world.storms['a']!.stats().calls, 1);
  });
});

describe('embeddings', { concurrency: 4 }, () => {
  const models = { vectors: ['a/e1', 'b/e2', 'c/e1'] };
  const embed = (world: World, headers: Record<string, string> = {}) =>
    world.post('/v1/embeddings', { model: 'vectors', input: 'harbour' }, { headers });

  it('move to another target of the same model only', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-quota' }] }, b: {}, c: {} }, models });
    const response = await embed(world);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-breakwater-target'), 'c/e1');
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => world.storms[name]!.stats().calls),
      [1, 0, 1],
    );
  });

  it('move to another model that is marked equivalent', async (t) => {
    const targets = ['a/e1', { target: 'b/e2', equivalent: true }];
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500' }] }, b: {} }, models: { vectors: { targets } } });
    assert.equal((await embed(world)).headers.get('x-breakwater-target'), 'b/e2');
  });

  it('fail rather than come from another model', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { faults: [{ kind: '503' }] }, b: {} },
      models: { vectors: ['a/e1', 'b/e2'] },
      config: { policy: { retry: { baseDelay: '4ms', maxDelay: '8ms' } } },
    });
    const response = await embed(world);
    assert.equal(response.status, 503);
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [4, 0]);
  });
});
