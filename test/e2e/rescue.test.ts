/** A silent attempt gets another target beside it (design 4.3): when, where, who is closed, and who pays. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, chatStream, silence } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { after, answeredBy, assertSettled, endsOf, failing } from './hedge-world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { contentOf } from './world.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
/** Of a plain call with a bound of 20 tokens to a target of which nothing is known. */
const PLAIN_LIMIT_MS = 30.5 * SECOND;
const STREAM_LIMIT_MS = 20 * SECOND;

const start = (t: TestContext, providers: VirtualOptions['providers'], more: Partial<VirtualOptions> = {}) =>
  startVirtualWorld(t, { domain: '.test', providers, ...more });
const deadline = (ms: number) => ({ 'x-breakwater-deadline-ms': String(ms) });

/** When each attempt began and why, in the order in which they were sent. */
const startsOf = (world: VirtualWorld): string[] =>
  world.eventsOf('attempt').map(({ at, target, race }) => `${Math.round(at)} ${target}${race === null ? '' : ` ${race}`}`);

for (const [stream, limitMs] of [
  [false, PLAIN_LIMIT_MS],
  [true, STREAM_LIMIT_MS],
] as const) {
  describe(stream ? 'a stream' : 'a plain call', () => {
    it('that hangs at a target of which nothing is known is answered by the next one', async (t) => {
      const world = await start(t, { a: silence, b: after(2 * SECOND) });
      const seen = await world.answerTo({ stream });
      assert.equal(seen.status, 200);
      assert.equal(contentOf(seen.text), 'well');
      assert.equal(seen.endAtMs, limitMs + 2 * SECOND);
      assert.deepEqual(startsOf(world), ['0 a/m', `${limitMs} b/m rescue`]);
      assert.deepEqual(endsOf(world), ['a/m slow', 'b/m success']);
      assert.equal(world.eventsOf('committed')[0]!.race, 'rescue');
      assert.equal(world.upstream.aborted, 1);
      assertSettled(world);
    });

    it('that answers first after all is not cut, and the one beside it is closed', async (t) => {
      const world = await start(t, { a: after(limitMs + 5 * SECOND, 'first'), b: after(10 * SECOND) });
      const seen = await world.answerTo({ stream });
      assert.equal(contentOf(seen.text), 'first');
      assert.equal(seen.endAtMs, limitMs + 5 * SECOND);
      assert.deepEqual(endsOf(world), ['a/m success', 'b/m cancelled']);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.upstream.aborted], [1, 1, 1]);
      assert.ok(world.gateway.targets().every(({ health }) => health === 1));
      assertSettled(world);
    });

    it('that answers in time is asked once', async (t) => {
      const world = await start(t, { a: after(limitMs - 1), b: after(0) });
      const seen = await world.answerTo({ stream });
      assert.equal(contentOf(seen.text), 'well');
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 0]);
      assertSettled(world);
    });

    it('is closed for a third target once its rescue has been silent for too long as well', async (t) => {
      const world = await start(t, { a: silence, b: silence, c: after(SECOND) });
      const seen = await world.answerTo({ stream });
      assert.equal(contentOf(seen.text), 'well');
      assert.equal(seen.endAtMs, 2 * limitMs + SECOND);
      assert.deepEqual(startsOf(world), ['0 a/m', `${limitMs} b/m rescue`, `${2 * limitMs} c/m rescue`]);
      assert.deepEqual(
        world.eventsOf('attempt_end').map(({ at, target, reason, verdict }) => `${at} ${target} ${reason ?? verdict}`),
        [`${2 * limitMs} a/m slow`, `${2 * limitMs + SECOND} b/m slow`, `${2 * limitMs + SECOND} c/m success`],
      );
      assertSettled(world);
    });

    it('never has more than two attempts at once, nor more than maxAttempts', async (t) => {
      const names = ['a', 'b', 'c', 'd', 'e', 'f'];
      const world = await start(t, Object.fromEntries(names.map((name) => [name, silence])));
      const seen = await world.answerTo({ stream });
      assert.match(seen.text, /error/);
      let [running, most] = [0, 0];
      for (const { type } of world.events) {
        running += type === 'attempt' ? 1 : type === 'attempt_end' ? -1 : 0;
        most = Math.max(most, running);
      }
      assert.equal(most, 2);
      assert.equal(world.upstream.calls.length, 4);
      assertSettled(world);
    });

    it('goes on with the silent one where the rescue fails, and asks a third at once', async (t) => {
      const world = await start(t, { a: silence, b: failing(SECOND), c: after(SECOND) });
      const seen = await world.answerTo({ stream });
      assert.equal(contentOf(seen.text), 'well');
      assert.equal(seen.endAtMs, limitMs + 2 * SECOND);
      assert.deepEqual(startsOf(world), ['0 a/m', `${limitMs} b/m rescue`, `${limitMs + SECOND} c/m rescue`]);
      assertSettled(world);
    });

    it('closes both when its caller leaves', async (t) => {
      const world = await start(t, { a: silence, b: silence });
      const timersAtRest = world.clock.pendingTimers;
      const asked = world.ask({ stream });
      await world.clock.advanceAsync(limitMs + 500);
      assert.equal(world.upstream.running, 2);
      asked.leave();
      await assert.rejects(asked.done);
      await world.clock.advanceAsync(0);
      assert.equal(world.upstream.aborted, 2);
      await world.clock.advanceAsync(SECOND); // what both may have used is saved
      assert.equal(world.clock.pendingTimers, timersAtRest);
      assertSettled(world);
    });

    it('asks nobody whose breaker is open, who is full, or who has refused it', async (t) => {
      const world = await start(t, { a: silence, b: after(20 * MINUTE), c: () => chatError(404) }, { limits: { concurrency: 1 } });
      const busy = world.ask({ model: 'b/m' }, deadline(30 * MINUTE));
      await world.clock.advanceAsync(1);
      const asked = world.ask({ stream }, deadline(4 * MINUTE));
      await world.clock.advanceAsync(50 * SECOND);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.callsTo('c')], [1, 1, 1]);
      asked.leave();
      busy.leave();
      await assert.rejects(asked.done);
      await assert.rejects(busy.done);
    });
  });
}

describe('liveness', () => {
  it('does not put a rescue off: pings, roles and blanks are no content', async (t) => {
    function* pings(): Generator<SimulatedStep> {
      yield { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } };
      for (let i = 0; i < 200; i++) {
        yield { do: 'wait', ms: SECOND };
        yield {
          do: 'send',
          bytes: i % 2 === 0 ? ': ping\n\n' : 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
        };
      }
    }
    const world = await start(t, { a: () => ({ steps: pings() }), b: () => chatStream() });
    const seen = await world.answerTo({ stream: true });
    answeredBy(seen, 'b/m', 2, 'slow');
    assert.equal(seen.endAtMs, STREAM_LIMIT_MS);
  });

  it('is content where a model thinks aloud', async (t) => {
    const steps: SimulatedStep[] = [
      { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
      { do: 'send', bytes: 'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n' },
      { do: 'wait', ms: 90 * SECOND },
    ];
    const world = await start(t, {
      a: () => ({ steps: [...steps, ...chatStream().steps].filter((_, i) => i !== 4) }),
      b: () => chatStream(),
    });
    assert.equal(contentOf((await world.answerTo({ stream: true })).text), 'one two three');
    assert.equal(world.callsTo('b'), 0);
  });
});

describe('on a cold start with the defaults', () => {
  for (const callers of [1, 5, 50]) {
    it(`each of ${callers} callers at once is answered within 45 s where the first target hangs silently`, async (t) => {
      for (const stream of [false, true]) {
        const world = await start(t, { a: silence, b: after(2 * SECOND) });
        const seen = await world.until(Promise.all(Array.from({ length: callers }, () => world.ask({ stream, max_tokens: 60 }).done)));
        for (const { text, endAtMs } of seen) {
          assert.equal(contentOf(text), 'well');
          assert.ok(endAtMs <= 45 * SECOND, `${endAtMs} ms`);
        }
        assert.equal(world.callsTo('b'), callers, 'each is answered there, and paid for once');
        assertSettled(world);
      }
    });
  }

  it('those who come later find the breaker open', async (t) => {
    const world = await start(t, { a: silence, b: after(SECOND) });
    await world.until(Promise.all(Array.from({ length: 10 }, () => world.ask().done)));
    assert.equal((await world.answerTo()).endAtMs, SECOND);
    assert.equal(world.callsTo('a'), 10);
  });
});

describe('what it may cost', () => {
  it('calls that are merely slow have one rescue at a time', async (t) => {
    const world = await start(t, { a: after(60 * SECOND), b: after(80 * SECOND) });
    const asked = Array.from({ length: 30 }, () => world.ask());
    await world.clock.advanceAsync(50 * SECOND);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [30, 1]);
    const seen = await world.until(Promise.all(asked.map(({ done }) => done)));
    for (const { headers } of seen) assert.equal(headers.get('x-breakwater-target'), 'a/m');
    assert.ok(world.callsTo('b') <= 2, `${world.callsTo('b')}`);
    assertSettled(world);
  });

  it('a configured limit is a limit of its own: no rescue before the share of the deadline is spent', async (t) => {
    const config = { policy: { timeouts: { headers: '60s' } } } as const;
    const slow = await start(t, { a: after(55 * SECOND), b: after(0) }, { config });
    answeredBy(await slow.answerTo(), 'a/m', 1, null);
    const hurried = await start(t, { a: silence, b: after(SECOND) }, { config });
    const seen = await hurried.answerTo({}, deadline(3 * SECOND));
    answeredBy(seen, 'b/m', 2, 'timeout');
    assert.deepEqual([seen.endAtMs, startsOf(hurried)], [2.8 * SECOND, ['0 a/m', '1800 b/m rescue']]);
  });

  it('leaves a target of which ten answers are known three times the longest of them', async (t) => {
    let calls = 0;
    const a = (): SimulatedResponse => (++calls <= 10 ? chatResponse({ headersAfterMs: calls * 300 }) : silence());
    const world = await start(t, { a, b: () => chatResponse() });
    for (let i = 0; i < 10; i++) await world.answerTo();
    assert.equal((await world.answerTo()).endAtMs, 9 * SECOND);
  });
});

describe('the only target', () => {
  it('may think for as long as its hard limit lets it', async (t) => {
    const cases = [
      { body: { model: 'deep', stream: true }, a: () => chatStream({ headersAfterMs: 75 * SECOND }), ms: 75 * SECOND },
      { body: { model: 'deep' }, a: () => chatResponse({ headersAfterMs: 330 * SECOND }), ms: 330 * SECOND },
    ];
    for (const { body, a, ms } of cases) {
      const world = await start(t, { a });
      const seen = await world.answerTo(body, deadline(600 * SECOND));
      assert.equal(contentOf(seen.text), 'one two three');
      assert.deepEqual([seen.endAtMs, world.callsTo('a')], [ms, 1]);
    }
  });

  it('is left time to read its prompt where its address is the operator\u2019s own, whatever it is called', async (t) => {
    for (const host of ['127.0.0.1', '10.1.2.3', '192.168.7.1', 'gpu', 'gpu.local', 'localhost', '[::1]', '[fd00::7]', 'llm.internal']) {
      const world = await startVirtualWorld(t, {
        providers: { [host]: () => chatStream({ headersAfterMs: 75 * SECOND }) },
        configured: { openai: { protocol: 'openai', baseUrl: `http://${host}:8000/v1`, apiKey: 'k' } },
        models: { fast: ['openai/m'] },
      });
      const seen = await world.answerTo({ stream: true });
      assert.equal(contentOf(seen.text), 'one two three', host);
      assert.equal(world.upstream.calls.length, 1);
    }
  });

  it('is not given that time elsewhere', async (t) => {
    const world = await start(t, { a: () => chatStream({ headersAfterMs: 75 * SECOND }) }, { config: { policy: { maxAttempts: 1 } } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(seen.endAtMs, MINUTE);
  });
});
