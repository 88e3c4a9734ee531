/** Two parallel attempts: which starts, which wins, what it costs, and that nothing of the other one is leaked. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatStream, silence, streamEnd, streamStart } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { HEDGE, after, answeredBy, assertSettled, endsOf, failing, startHedged } from './hedge-world.ts';
import type { HedgedOptions, Script } from './hedge-world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

/** One timer watches all bodies that are sent; it fires once more after the last of them, in milliseconds. */
const STALL_WATCH_MS = 250;

for (const stream of [false, true]) {
  describe(stream ? 'a stream without content so far' : 'a non-streaming request', () => {
    it('is served by another target once the first one is silent for too long', async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: after(100) } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'b/m', 2, 'slow');
      assert.equal(contentOf(seen.text), 'well');
      assert.equal(seen.endAtMs, 600);
      assert.deepEqual(endsOf(world), ['a/m cancelled', 'b/m success']);
      assert.deepEqual(
        world.eventsOf('attempt').map(({ race }) => race),
        [null, 'hedge'],
      );
      assert.equal(world.eventsOf('committed')[0]!.race, 'hedge');
      assert.equal(world.upstream.aborted, 1);
      assertSettled(world);
    });

    it('has one attempt if the first one responds in time', async (t) => {
      const world = await startHedged(t, { providers: { a: after(499), b: after(0) } });
      answeredBy(await world.answerTo({ stream }), 'a/m', 1, null);
      assert.equal(world.callsTo('b'), 0);
      await world.clock.advanceAsync(10_000);
      assert.equal(world.callsTo('b'), 0);
      assertSettled(world);
    });

    it('is served by the first one if it responds before the hedge', async (t) => {
      const world = await startHedged(t, { providers: { a: after(700, 'first'), b: after(1000) } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'a/m', 2, null);
      assert.equal(contentOf(seen.text), 'first');
      assert.equal(seen.endAtMs, 700);
      assert.deepEqual(endsOf(world), ['a/m success', 'b/m cancelled']);
      assert.equal(world.eventsOf('committed')[0]!.race, null);
      assert.equal(world.upstream.aborted, 1);
      assertSettled(world);
    });

    it('continues with the hedge if the first one fails', async (t) => {
      const world = await startHedged(t, { providers: { a: failing(600), b: after(2000), c: after(0) } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'b/m', 2, 'server_error');
      assert.equal(seen.endAtMs, 2500);
      assert.equal(world.callsTo('c'), 0);
      assertSettled(world);
    });

    it('continues with the first one if the hedge fails', async (t) => {
      const world = await startHedged(t, { providers: { a: after(3000), b: failing(100), c: after(0) } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'a/m', 2, null);
      assert.equal(seen.endAtMs, 3000);
      assert.equal(world.callsTo('c'), 0);
      assertSettled(world);
    });

    it('uses the next target once both have failed', async (t) => {
      const world = await startHedged(t, { providers: { a: failing(700), b: failing(100), c: after(50) } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'c/m', 3, 'server_error');
      assert.equal(seen.endAtMs, 750);
      assertSettled(world);
    });

    it('survives a permanent failure of the hedge', async (t) => {
      const world = await startHedged(t, { providers: { a: after(1000), b: failing(0, 400, { code: 'missing_required_parameter' }) } });
      answeredBy(await world.answerTo({ stream }), 'a/m', 2, null);
      assertSettled(world);
    });

    it('ends with the permanent failure if the other one fails too', async (t) => {
      const world = await startHedged(t, {
        providers: { a: failing(1000), b: failing(0, 400, { code: 'missing_required_parameter' }), c: after(0) },
      });
      const seen = await world.answerTo({ stream });
      assert.equal(seen.status, 400);
      assert.equal(errorOf(seen.text).code, 'missing_required_parameter');
      assert.equal(world.upstream.calls.length, 2);
      assertSettled(world);
    });

    it('closes both whenever its caller disconnects', async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: after(1000) }, limits: { concurrency: 9 } });
      const timersAtRest = world.clock.pendingTimers;
      for (const [leaveAfterMs, calls] of [
        [0, 1],
        [499, 1],
        [500, 2],
        [900, 2],
        [1499, 2],
      ] as const) {
        const before = world.upstream.calls.length;
        const asked = world.ask({ stream });
        await world.clock.advanceAsync(leaveAfterMs);
        asked.leave();
        await assert.rejects(asked.done);
        await world.clock.advanceAsync(0);
        assert.equal(world.upstream.calls.length - before, calls, `after ${leaveAfterMs} ms`);
        assert.equal(world.eventsOf('finished').at(-1)!.outcome, 'cancelled');
        await world.clock.advanceAsync(STALL_WATCH_MS);
        assert.equal(world.clock.pendingTimers, timersAtRest);
        assertSettled(world);
      }
    });

    it('ends at its deadline with both closed', async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: silence } });
      const seen = await world.answerTo({ stream }, { 'x-breakwater-deadline-ms': '2000' });
      assert.equal(seen.status, 504);
      assert.ok(Math.abs(seen.endAtMs - 2000) <= 1, `${seen.endAtMs}`);
      assert.equal(world.upstream.calls.length, 2);
      const { message } = errorOf(seen.text);
      assert.ok(message.includes('a/') && message.includes('b/'), `both are reported: ${message}`);
      assertSettled(world);
    });

    it('ends when the gateway closes, with both closed', async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: silence } });
      const { done } = world.ask({ stream });
      await world.clock.advanceAsync(800);
      assert.equal(world.upstream.running, 2);
      const closed = world.gateway.close();
      const seen = await world.until(done);
      assert.equal(seen.status, 503);
      await world.until(closed);
      assertSettled(world);
    });

    it('is finished by a drain that started while both ran', async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: after(1000) } });
      const { done } = world.ask({ stream });
      await world.clock.advanceAsync(800);
      const drained = world.gateway.drain();
      answeredBy(await world.until(done), 'b/m', 2, 'slow');
      await world.until(drained);
      assertSettled(world);
    });
  });
}

describe('a stream', () => {
  it('is not hedged after its first content, however slowly it continues', async (t) => {
    const slow = () => chatStream({ firstContentAfterMs: 100, gapMs: 5000 });
    const world = await startHedged(t, { providers: { a: slow, b: after(0) } });
    answeredBy(await world.answerTo({ stream: true }), 'a/m', 1, null);
    assertSettled(world);
  });

  it('is not hedged while its content is buffered for a check', async (t) => {
    const slow = () => chatStream({ firstContentAfterMs: 100, gapMs: 2000 });
    const world = await startHedged(t, { providers: { a: slow, b: after(0) }, policy: { quality: { buffer: true } } });
    answeredBy(await world.answerTo({ stream: true }), 'a/m', 1, null);
    assertSettled(world);
  });

  it('breaks off like any other after its hedge was committed', async (t) => {
    const broken = (): SimulatedResponse => ({ steps: [...streamStart(), { do: 'break', code: 'ECONNRESET' }] });
    const world = await startHedged(t, { providers: { a: silence, b: broken } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(errorOf(seen.text).code, 'stream_interrupted');
    assert.deepEqual(endsOf(world), ['a/m cancelled', 'b/m interrupted']);
    assertSettled(world);
  });

  it('can be abandoned by its caller while the winner still writes', async (t) => {
    const slow = (): SimulatedResponse => ({ steps: [...streamStart({ gapMs: 10_000 }), ...streamEnd()] });
    const world = await startHedged(t, { providers: { a: silence, b: slow } });
    const asked = world.ask({ stream: true });
    await world.clock.advanceAsync(5000);
    assert.equal(world.upstream.running, 1);
    asked.leave();
    await assert.rejects(asked.done);
    await world.clock.advanceAsync(0);
    assertSettled(world);
  });
});

describe('a hedge uses', () => {
  it('another key of the same target if there is no other target', async (t) => {
    const keys: unknown[] = [];
    const script: Script = (call) => {
      const { headers } = call.request;
      keys.push(headers[headers.indexOf('authorization') + 1]);
      return call.number === 1 ? silence() : after(10)(call);
    };
    const world = await startHedged(t, { providers: { a: script }, keys: ['one', 'two'] });
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
    assert.equal(new Set(keys).size, 2);
    assertSettled(world);
  });

  it('the same target again if there is one with one key', async (t) => {
    const world = await startHedged(t, { providers: { a: (call) => (call.number === 1 ? silence() : after(10)(call)) } });
    answeredBy(await world.answerTo(), 'a/m', 2, null);
    assertSettled(world);
  });

  it('no target that the caller excluded', async (t) => {
    const world = await startHedged(t, { providers: { a: after(2000), b: after(0) } });
    answeredBy(await world.answerTo({}, { 'x-breakwater-fallback': 'off' }), 'a/m', 2, null);
    assert.equal(world.callsTo('b'), 0);
    assertSettled(world);
  });

  it('no target that has failed for this request', async (t) => {
    const world = await startHedged(t, { providers: { a: failing(0), b: silence, c: after(0) } });
    answeredBy(await world.answerTo(), 'c/m', 3, 'server_error');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.callsTo('c')], [1, 1, 1]);
    assertSettled(world);
  });

  it('no target whose breaker is not closed', async (t) => {
    const world = await startHedged(t, { providers: { a: after(1000), b: after(0) } });
    world.gateway.isolate('b/m');
    answeredBy(await world.answerTo(), 'a/m', 2, null);
    assert.equal(world.callsTo('b'), 0);
    assertSettled(world);
  });
});

describe('a hedge does not start', () => {
  const slow = after(5000);
  const alone = async (t: TestContext, options: Omit<HedgedOptions, 'providers'>, body = {}): Promise<void> => {
    const world = await startHedged(t, { providers: { a: slow }, ...options });
    answeredBy(await world.answerTo(body), 'a/m', 1, null);
    assert.equal(world.upstream.calls.length, 1);
    assertSettled(world);
  };

  it('where it is off', (t) => alone(t, { policy: { hedge: { ...HEDGE, enabled: false } } }));
  it('beyond maxAttempts', (t) => alone(t, { policy: { maxAttempts: 1 } }));
  it('beyond its own budget', (t) => alone(t, { policy: { hedge: { ...HEDGE, budget: 0.9 } } }));
  it('beyond the retry budget', (t) => alone(t, { policy: { retry: { budget: { ratio: 0, minPerSecond: 0 } } } }));
  it('without capacity', (t) => alone(t, { limits: { concurrency: 1 } }));
  it('on the last slot', (t) => alone(t, { limits: { concurrency: 2 } }));
  it('on the last request of a minute', (t) => alone(t, { limits: { requestsPerMinute: 2 } }));
  it('on the last tokens of a minute', (t) => alone(t, { limits: { tokensPerMinute: 70 } }));
  it('before a quantile of its target is known', (t) => alone(t, { policy: { hedge: { ...HEDGE, delay: 'p50' } } }));

  it('while other requests wait for the same', async (t) => {
    const world = await startHedged(t, { providers: { a: after(5000), b: after(5000) }, limits: { concurrency: 3 } });
    const asked = Array.from({ length: 8 }, () => world.ask());
    await world.clock.advanceAsync(4000);
    assert.equal(world.upstream.calls.length, 6);
    await world.until(Promise.all(asked.map(({ done }) => done)));
    assertSettled(world);
  });
});

it('without capacity at first, a hedge starts once there is some', async (t) => {
  const world = await startHedged(t, { providers: { a: silence, b: after(1200) }, limits: { concurrency: 2 } });
  const other = world.ask({ model: 'b/m' });
  await world.clock.advanceAsync(10);
  const seen = await world.answerTo();
  answeredBy(seen, 'b/m', 2, 'slow');
  assert.equal(seen.endAtMs, 2700);
  await other.done;
  assertSettled(world);
});

it('hedges are a limited share of requests, however many are slow', async (t) => {
  const world = await startHedged(t, { providers: { a: after(1000), b: after(100) }, policy: { hedge: { ...HEDGE, budget: 0.05 } } });
  for (let i = 0; i < 200; i++) await world.answerTo();
  assert.equal(world.upstream.calls.length, 210);
  assert.equal(world.callsTo('b'), 10);
  assertSettled(world);
});

it('a quantile belongs to the slow target, and hedges do not lower it', async (t) => {
  let asked = 0;
  const everyTenth: Script = (call) => after(++asked % 10 === 0 ? 8000 : 400 + (asked % 7))(call);
  const world = await startHedged(t, {
    providers: { a: everyTenth, b: after(50) },
    policy: { hedge: { enabled: true, delay: 'p90', budget: 1 } },
  });
  for (let i = 0; i < 50; i++) await world.answerTo();
  assert.equal(world.callsTo('b'), 0);
  const seen: VirtualSeen[] = [];
  for (let i = 0; i < 500; i++) seen.push(await world.answerTo());
  assert.equal(world.callsTo('b'), 50);
  assert.ok(seen.every(({ endAtMs }) => endAtMs < 600));
  assertSettled(world);
});

it('a response that fails the policy does not win while the other one runs', async (t) => {
  const world = await startHedged(t, {
    providers: { a: after(3000, 'a much longer answer'), b: after(10, 'short') },
    policy: { quality: { minLength: 10 } },
  });
  const seen = await world.answerTo();
  answeredBy(seen, 'a/m', 2, null);
  assert.equal(contentOf(seen.text), 'a much longer answer');
  assertSettled(world);
});

describe('an event listener may end the request at once, and nothing is sent or leaked', () => {
  for (const [type, calls] of [
    ['attempt', 1],
    ['note', 2],
  ] as const) {
    it(`by a hedge's ${type}`, async (t) => {
      const world = await startHedged(t, { providers: { a: silence, b: silence }, limits: { concurrency: 9 } });
      const timersAtRest = world.clock.pendingTimers;
      const asked = world.ask();
      const left = assert.rejects(asked.done);
      world.gateway.events.on(type, (event) => {
        if (event.type === 'note' || event.race !== null) asked.leave();
      });
      await world.clock.advanceAsync(500);
      await left;
      assert.equal(world.upstream.calls.length, calls);
      await world.clock.advanceAsync(STALL_WATCH_MS);
      assert.equal(world.clock.pendingTimers, timersAtRest);
      assertSettled(world);
    });
  }

  it('by the first attempt, hedged or not', async (t) => {
    for (const enabled of [true, false]) {
      const world = await startHedged(t, { providers: { a: silence }, policy: { hedge: { ...HEDGE, enabled } } });
      const timersAtRest = world.clock.pendingTimers;
      world.gateway.events.on('attempt', () => asked.leave());
      const asked = world.ask();
      await assert.rejects(asked.done);
      await world.clock.advanceAsync(0);
      assert.equal(world.upstream.calls.length, 0);
      await world.clock.advanceAsync(STALL_WATCH_MS);
      assert.equal(world.clock.pendingTimers, timersAtRest);
      assertSettled(world);
    }
  });
});

it('passed-through requests are not hedged', async (t) => {
  const image = (): SimulatedResponse => ({
    steps: [
      { do: 'wait', ms: 5000 },
      { do: 'head', status: 200 },
      { do: 'send', bytes: '{}' },
    ],
  });
  const world = await startHedged(t, { providers: { a: image, b: image } });
  const answer = world.fetch('http://breakwater/v1/images/generations', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'fast', prompt: 'a harbour' }),
  });
  const response = await world.until(answer.then(async (one) => ({ status: one.status, text: await one.text() })));
  assert.equal(response.status, 200);
  assert.equal(world.upstream.calls.length, 1);
  assertSettled(world);
});

for (const [concurrency, busy, hedges] of [
  [4, 2, 1],
  [4, 3, 0],
  [10, 7, 1],
  [10, 8, 0],
] as const) {
  it(`${hedges} of one hedge finds capacity with ${busy} of ${concurrency} in use`, async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: silence, b: after(60_000) },
      models: { fast: { targets: ['a/m', 'b/m'], policy: { hedge: HEDGE } } },
      limits: { concurrency },
    });
    const asked = Array.from({ length: busy }, () => world.ask({ model: 'b/m' }));
    await world.clock.advanceAsync(1);
    asked.push(world.ask());
    await world.clock.advanceAsync(499);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, busy]);
    await world.clock.advanceAsync(10);
    const hedged = world.eventsOf('attempt').filter(({ race, target }) => race === 'hedge' && target === 'b/m');
    assert.equal(hedged.length, hedges);
    const ended = Promise.allSettled(asked.map(({ done }) => done));
    for (const each of asked) each.leave();
    await world.until(ended);
    assertSettled(world);
  });
}
