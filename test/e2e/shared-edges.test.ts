/** Shared and kept answers at their edges: what is too large, found late, unjudged, left early, or damaged. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import type { CachedResponses } from '../../src/store/cached-responses.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { chatResponse, chatError, chatStream, createManualClock } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { contentOf, errorOf } from './world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

type Quality = NonNullable<NonNullable<NonNullable<VirtualOptions['config']>['policy']>['quality']>;

const KEY = { 'idempotency-key': 'order-17' };
const cache = { enabled: true };

async function start(
  t: TestContext,
  answer: (nth: number, call: SimulatedCall) => SimulatedResponse,
  more: Partial<VirtualOptions> = {},
): Promise<VirtualWorld> {
  let nth = 0;
  return startVirtualWorld(t, { providers: { a: (call) => answer(nth++, call) }, config: { policy: { cache } }, ...more });
}

const useOf = (seen: { headers: Headers }) => seen.headers.get('x-breakwater-cache');
const after = (world: VirtualWorld, ms: number) => world.until(new Promise<void>((resolve) => void world.clock.schedule(ms, resolve)));

function assertNothingHeld(world: VirtualWorld): void {
  const queue = world.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
}

/** A store whose answers take their time, and what it was given. */
function slowStore(store: Store, clock: Clock, delayMs: number): { store: Store; rows: Map<string, Uint8Array> } {
  const rows = new Map<string, Uint8Array>();
  const responses: CachedResponses = {
    mayHold: (key) => rows.has(key),
    get: (key) => new Promise((resolve) => void clock.schedule(delayMs, () => resolve(rows.get(key) ?? null))),
    put: (key, head, body) => void rows.set(key, Buffer.concat([head, body])),
  };
  return { rows, store: new Proxy(store, { get: (of, name) => (name === 'responses' ? responses : bound(of, name)) }) };
}

function bound(of: Store, name: string | symbol): unknown {
  const value: unknown = Reflect.get(of, name);
  return typeof value === 'function' ? (value.bind(of) as unknown) : value;
}

/** What a process leaves that answered these requests. */
async function leftBehind(
  t: TestContext,
  asks: readonly [Record<string, unknown>, Record<string, string>][],
): Promise<Map<string, Uint8Array>> {
  const clock = createManualClock();
  const { store, rows } = slowStore(await openStore('memory:', { clock, onWarning: () => {} }), clock, 0);
  const world = await start(t, () => chatResponse({ words: ['of old'] }), { store });
  for (const [body, headers] of asks) await world.answerTo(body, headers);
  return rows;
}

async function startAfter(t: TestContext, rows: Map<string, Uint8Array>, more: Partial<VirtualOptions> = {}): Promise<VirtualWorld> {
  const late: { clock?: Clock } = {};
  const clock = { schedule: (ms: number, work: () => void) => late.clock!.schedule(ms, work) } as Clock;
  const made = slowStore(await openStore('memory:', { clock: createManualClock(), onWarning: () => {} }), clock, 100);
  for (const [key, value] of rows) made.rows.set(key, value);
  const world = await start(t, () => chatResponse({ words: ['anew'], headersAfterMs: 1_000 }), { store: made.store, ...more });
  late.clock = world.clock;
  return world;
}

describe('a large plain answer', () => {
  for (const [how, headers] of [
    ['under a key', KEY],
    ['with the cache on', {}],
  ] as const) {
    it(`goes out whole ${how}`, async (t) => {
      const whole = JSON.stringify({
        object: 'list',
        model: 'm',
        data: [{ object: 'embedding', index: 0, embedding: Array.from({ length: 2_000_000 }, () => 0.12345678) }],
      });
      const pieces = whole.match(/[^]{1,1000000}/g)!;
      const world = await start(t, () => ({
        steps: [
          { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
          ...pieces.flatMap((bytes) => [
            { do: 'send' as const, bytes },
            { do: 'wait' as const, ms: 10 },
          ]),
        ],
      }));
      const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{"model":"fast","input":"x"}' };
      const response = await world.until(world.fetch('http://breakwater/v1/embeddings', init));
      const text = await world.until(response.text());
      assert.equal(response.status, 200);
      assert.equal(useOf(response), null);
      assert.equal(text === whole, true, `${text.length} of ${whole.length}: ${text.slice(-200)}`);
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'success');
      assertNothingHeld(world);
    });
  }
});

describe('a stream that was here before it went out', () => {
  it('has its usage for those who ask for it later', async (t) => {
    const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };
    const event = `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage })}\n\n`;
    const steps = [...chatStream().steps].map((step) =>
      step.do === 'send' && String(step.bytes).includes('[DONE]') ? { ...step, bytes: event + String(step.bytes) } : step,
    );
    const world = await start(t, () => ({ steps }), { config: { policy: { cache, quality: { buffer: true } } } });
    const made = await world.answerTo({ stream: true });
    assert.doesNotMatch(made.text, /usage/);
    const plain = await world.answerTo();
    assert.equal(useOf(plain), 'hit');
    assert.equal((JSON.parse(plain.text) as { usage?: { total_tokens: number } }).usage?.total_tokens, 8);
    const streamed = await world.answerTo({ stream: true, stream_options: { include_usage: true } });
    assert.match(streamed.text, /"total_tokens":8/);
  });
});

describe('a stream that was kept alive', () => {
  it('tells in a comment what its headers could not, its quality too', async (t) => {
    const world = await start(t, () => chatResponse({ words: ['no'], headersAfterMs: 60_000 }), {
      config: { policy: { quality: { minLength: 50 }, maxAttempts: 1, timeouts: { headers: '2m', firstContent: '2m' } } },
    });
    const seen = await world.answerTo({ stream: true }, KEY);
    assert.match(seen.text, /: breakwater target=a\/m attempts=1 quality=short\n/);
    assert.equal(contentOf(seen.text), 'no');
  });
});

describe('an answer beyond its time', () => {
  it('does not hide that the request has become too long for every target', async (t) => {
    const tooLong = chatError(400, { code: 'context_length_exceeded', type: 'invalid_request_error' });
    const world = await start(t, (nth) => (nth === 0 ? chatResponse() : tooLong));
    await world.answerTo();
    world.clock.advance(3_600_000);
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, useOf(seen), errorOf(seen.text).code], [400, null, 'context_length_exceeded']);
  });
});

describe('a stream that went out before it could be judged', () => {
  for (const [what, body, quality] of [
    ['its JSON', { response_format: { type: 'json_object' } }, {}],
    ['its patterns', {}, { mustMatch: ['harbour'] }],
    ['a check', {}, { check: () => false }],
  ] satisfies [string, object, Quality][]) {
    it(`is not kept where ${what} would have been`, async (t) => {
      const world = await start(t, (nth) => (nth === 0 ? chatStream({ gapMs: 10 }) : chatResponse()), {
        config: { policy: { cache, quality, maxAttempts: 1 } },
      });
      assert.equal(useOf(await world.answerTo({ ...body, stream: true })), null);
      const plain = await world.answerTo(body);
      assert.equal(useOf(plain), null);
      assert.notEqual(plain.headers.get('x-breakwater-quality'), null);
    });
  }

  it('is kept where what it lacks was looked for in its opening', async (t) => {
    const world = await start(t, () => chatStream({ gapMs: 10 }), {
      config: { policy: { cache, quality: { rejectRefusal: true, minLength: 3 } } },
    });
    await world.answerTo({ stream: true });
    assert.equal(useOf(await world.answerTo()), 'hit');
  });
});

describe('a key that an earlier process has left', () => {
  it('with another body is refused, and nobody else who asks for the same', async (t) => {
    const world = await startAfter(t, await leftBehind(t, [[{ max_tokens: 500 }, KEY]]));
    const [keyed, bare] = await world.until(Promise.all([world.ask({}, KEY).done, world.ask({}).done]));
    assert.equal(keyed.status, 409);
    assert.equal(bare.status, 200);
    assert.match(bare.text, /anew/);
    assertNothingHeld(world);
  });

  it('with another body is refused, though the cache knows the answer', async (t) => {
    const world = await startAfter(t, await leftBehind(t, [[{ max_tokens: 500 }, KEY]]));
    await world.answerTo();
    assert.equal((await world.answerTo({}, KEY)).status, 409);
    const [bare, keyed] = [world.ask({ max_tokens: 7 }), world.ask({ max_tokens: 7 }, KEY)];
    assert.deepEqual(
      (await world.until(Promise.all([bare.done, keyed.done]))).map(({ status }) => status),
      [200, 409],
    );
    assertNothingHeld(world);
  });

  it('is replayed to those who have it, and to nobody whose cache holds no such answer any more', async (t) => {
    const world = await startAfter(t, await leftBehind(t, [[{}, KEY]]), {
      config: { policy: { cache: { ...cache, ttl: '1m', staleIfError: '0ms' } } },
    });
    world.clock.advance(120_000);
    const [keyed, bare] = await world.until(Promise.all([world.ask({}, KEY).done, world.ask({}).done]));
    assert.match(keyed.text, /of old/);
    assert.match(bare.text, /anew/);
    assertNothingHeld(world);
  });

  it('is not waited for when the gateway closes', async (t) => {
    const rows = await leftBehind(t, [[{}, KEY]]);
    // It turns out to be damaged, so that the request would run.
    const world = await startAfter(t, new Map([...rows.keys()].map((key) => [key, new Uint8Array(0)])));
    const asked = world.ask({}, KEY);
    await after(world, 10);
    const closing = world.gateway.close();
    assert.equal(errorOf((await world.until(asked.done)).text).code, 'shutting_down');
    await world.until(closing);
    assert.equal(world.callsTo('a'), 0);
  });

  it('whose answer can not be given again ends the request all the same', async (t) => {
    const rows = await leftBehind(t, [[{}, {}]]);
    for (const [key, value] of rows) {
      const text = Buffer.from(value).toString('latin1').replace('"headers":[', '"headers":["bad header\\n","x",');
      rows.set(key, Buffer.from(text, 'latin1'));
    }
    const world = await startAfter(t, rows);
    for (let i = 0; i < 2; i++) await world.until(world.ask().done.catch(() => {}));
    await world.until(world.gateway.drain());
    assert.equal(world.eventsOf('finished').length, 2);
  });
});

describe('a request', () => {
  it('nested so deeply that nobody can read it is answered all the same', async (t) => {
    const world = await start(t, () => chatResponse());
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const body = `{"model":"fast","messages":[{"role":"user","content":"x"}],"deep":${deep}}`;
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const response = await world.until(world.fetch('http://breakwater/v1/chat/completions', init));
    assert.ok([200, 400].includes(response.status), String(response.status));
    await world.until(response.text());
    assertNothingHeld(world);
  });

  it('whose caller has left before it began makes no call', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 1_000 }));
    const handle = world.gateway.handle.bind(world.gateway);
    let leave = (): void => {};
    world.gateway.handle = (request, sink) => {
      leave();
      return handle(request, sink);
    };
    for (const headers of [{}, KEY]) {
      const asked = world.ask({}, headers);
      leave = () => asked.leave();
      await world.until(asked.done.catch(() => {}));
      await after(world, 5_000);
      assertNothingHeld(world);
    }
    assert.equal(world.callsTo('a'), 0);
  });

  it('to a provider that lives elsewhere since a reload is another one', async (t) => {
    const world = await start(t, () => chatResponse());
    await world.answerTo();
    const { config } = world.gateway;
    const [a] = Object.values(config.providers);
    await world.gateway.reload({ ...config, providers: { a: { ...a!, baseUrl: 'http://a/v2' } } });
    assert.equal(useOf(await world.answerTo()), null);
    assert.equal(useOf(await world.answerTo()), 'hit');
    assert.equal(world.callsTo('a'), 2);
  });
});
