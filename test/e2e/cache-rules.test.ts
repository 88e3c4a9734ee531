/** What the cache stores, for whom, and when a stale response is served. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, chatStream, streamStart } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { errorOf } from './world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const cache = { enabled: true };

async function start(
  t: TestContext,
  answer: (nth: number, call: SimulatedCall) => SimulatedResponse = () => chatResponse(),
  more: Partial<VirtualOptions> = {},
): Promise<VirtualWorld> {
  let nth = 0;
  return startVirtualWorld(t, { providers: { a: (call) => answer(nth++, call) }, config: { policy: { cache } }, ...more });
}

const bodyOf = (call: SimulatedCall) => JSON.parse(Buffer.from(call.request.body ?? []).toString()) as Record<string, unknown>;
const useOf = (seen: { headers: Headers }) => seen.headers.get('x-breakwater-cache');

function plain(finish: string, content: string | null = 'some words', choices = 1): SimulatedResponse {
  const each = Array.from({ length: choices }, (_, index) => ({
    index,
    message: { role: 'assistant', content },
    finish_reason: index === choices - 1 ? finish : 'stop',
  }));
  return {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
      { do: 'send', bytes: JSON.stringify({ id: 'x', object: 'chat.completion', model: 'm', choices: each }) },
    ],
  };
}

describe('the cache', () => {
  for (const [what, answer, n] of [
    ['a response truncated at its length limit', plain('length'), 1],
    ['a response with one truncated choice', plain('length', 'words', 2), 2],
    ['a filtered response', plain('content_filter'), 1],
    ['an empty response that was returned because no better one was available', plain('stop', ''), 1],
    ['an error', chatError(400), 1],
  ] as const) {
    it(`does not store ${what}`, async (t) => {
      const world = await start(t, () => answer, { config: { policy: { cache, maxAttempts: 1 } } });
      const first = await world.answerTo({ n });
      const again = await world.answerTo({ n });
      assert.equal(useOf(again), null);
      assert.equal(again.status, first.status);
      assert.equal(world.callsTo('a'), 2);
    });
  }

  it('does not store a broken stream', async (t) => {
    const broken = { steps: [...streamStart(), { do: 'break' as const, code: 'ECONNRESET' }] };
    const world = await start(t, (nth) => (nth === 0 ? broken : chatStream()));
    await world.answerTo({ stream: true });
    assert.equal(useOf(await world.answerTo({ stream: true })), null);
    assert.equal(useOf(await world.answerTo({ stream: true })), 'hit');
  });

  it('stores a response with tool calls', async (t) => {
    const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
    const body = {
      id: 'x',
      choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }],
    };
    const world = await start(t, () => ({
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
        { do: 'send', bytes: JSON.stringify(body) },
      ],
    }));
    const tools = [{ type: 'function', function: { name: 'f' } }];
    await world.answerTo({ tools });
    assert.equal(useOf(await world.answerTo({ tools })), 'hit');
    const streamed = await world.answerTo({ tools, stream: true });
    assert.equal(useOf(streamed), 'hit');
    assert.match(streamed.text, /"tool_calls":\[\{"id":"call_1"/);
  });

  it('stores embeddings too', async (t) => {
    const answer = JSON.stringify({
      object: 'list',
      model: 'm',
      data: [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }],
      usage: { prompt_tokens: 2, total_tokens: 2 },
    });
    const world = await start(t, () => ({
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
        { do: 'send', bytes: answer },
      ],
    }));
    const ask = async () => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'fast', input: 'x' }) };
      const response = await world.until(world.fetch('http://breakwater/v1/embeddings', init));
      return { use: response.headers.get('x-breakwater-cache'), text: await world.until(response.text()) };
    };
    assert.deepEqual(await ask(), { use: null, text: answer });
    assert.deepEqual(await ask(), { use: 'hit', text: answer });
  });
});

describe('the same request', () => {
  it('matches in another order, spelling and form, for another user', async (t) => {
    const world = await start(t);
    await world.answerTo({ temperature: 1, top_p: 0.5 });
    for (const body of [
      { top_p: 0.5, temperature: 1.0 },
      { temperature: 1, top_p: 0.5, user: 'u-1', metadata: { a: 'b' }, stream: false, prompt_cache_key: 'k' },
      { temperature: 1, top_p: 0.5, stream: true, stream_options: { include_usage: true } },
    ]) {
      assert.equal(useOf(await world.answerTo(body)), 'hit', JSON.stringify(body));
    }
    const usage = await world.answerTo({ temperature: 1, top_p: 0.5, stream: true, stream_options: { include_usage: true } });
    assert.match(usage.text, /"usage":\{/);
    const bare = await world.answerTo({ temperature: 1, top_p: 0.5, stream: true });
    assert.doesNotMatch(bare.text, /"usage":\{/);
    assert.equal(world.callsTo('a'), 1);
  });

  it('differs in any word, number, field or header that matters', async (t) => {
    const world = await start(t);
    const asks: [Record<string, unknown>, Record<string, string>][] = [
      [{}, {}],
      [{ temperature: 0 }, {}],
      [{ temperature: 0.1 }, {}],
      [{ seed: 7 }, {}],
      [{ unknown_field: true }, {}],
      [{ messages: [{ role: 'user', content: 'Say something about harbours!' }] }, {}],
      [{ n: 2 }, {}],
      [{}, { 'x-breakwater-fallback': 'off' }],
      [{}, { 'openai-beta': 'x=1' }],
    ];
    for (const [body, headers] of asks) assert.equal(useOf(await world.answerTo(body, headers)), null, JSON.stringify([body, headers]));
    assert.equal(world.callsTo('a'), asks.length);
  });

  it('is separate for each client', async (t) => {
    const clients = ['web', 'nightly'].map((name) => ({ name, key: `${name}-key-1234` }));
    const world = await start(t, () => chatResponse(), { config: { clients, policy: { cache } } });
    for (const name of ['web', 'nightly']) assert.equal(useOf(await world.answerTo({}, { 'x-api-key': `${name}-key-1234` })), null);
    for (const name of ['web', 'nightly']) assert.equal(useOf(await world.answerTo({}, { 'x-api-key': `${name}-key-1234` })), 'hit');
    assert.equal(world.callsTo('a'), 2);
  });

  it('is separate for each caller if the provider gets the caller’s key', async (t) => {
    const world = await start(t, () => chatResponse(), { keys: 'caller' });
    for (const key of ['sk-one', 'sk-two']) assert.equal(useOf(await world.answerTo({}, { authorization: `Bearer ${key}` })), null);
    assert.equal(useOf(await world.answerTo({}, { authorization: 'Bearer sk-one' })), 'hit');
    assert.equal(useOf(await world.answerTo({}, { authorization: 'Bearer sk-three', 'idempotency-key': 'k' })), null);
    assert.equal(useOf(await world.answerTo({}, { authorization: 'Bearer sk-four', 'idempotency-key': 'k' })), null);
  });
});

describe('a caller', () => {
  it('can bypass the cache or refresh it', async (t) => {
    const world = await start(t, (nth) => chatResponse({ words: [`answer ${nth}`] }));
    await world.answerTo();
    assert.match((await world.answerTo({}, { 'x-breakwater-cache': 'off' })).text, /answer 1/);
    assert.match((await world.answerTo()).text, /answer 0/, 'a response that bypassed the cache is not stored');
    assert.match((await world.answerTo({}, { 'x-breakwater-cache': 'refresh' })).text, /answer 2/);
    const renewed = await world.answerTo();
    assert.match(renewed.text, /answer 2/);
    assert.equal(useOf(renewed), 'hit');
  });

  it('is not shared in flight without coalescing, or without the cache', async (t) => {
    const slow = () => chatResponse({ headersAfterMs: 100 });
    for (const policy of [{ cache: { ...cache, coalesce: false } }, { cache: { coalesce: true } }]) {
      const world = await start(t, slow, { config: { policy } });
      await world.until(Promise.all([world.ask().done, world.ask().done]));
      assert.equal(world.callsTo('a'), 2);
    }
  });

  it('does not count a cached response towards its limits', async (t) => {
    const clients = [{ name: 'web', key: 'web-key-1234', limits: { requestsPerMinute: 1 } }];
    const world = await start(t, () => chatResponse(), { config: { clients, policy: { cache } } });
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo({}, { 'x-api-key': 'web-key-1234' })).status, 200);
  });
});

describe('a stale response', () => {
  const HOUR_MS = 3_600_000;

  it('is refreshed while a target is available', async (t) => {
    const world = await start(t);
    await world.answerTo();
    world.clock.advance(HOUR_MS);
    assert.equal(useOf(await world.answerTo()), null);
    assert.equal(useOf(await world.answerTo()), 'hit');
    assert.equal(world.callsTo('a'), 2);
  });

  it('replaces a rate-limit refusal, streaming or not, and is gone after staleIfError', async (t) => {
    const limits = { requestsPerDay: 1 };
    const world = await start(t, () => chatResponse(), {
      limits,
      config: { policy: { cache: { ...cache, ttl: '1m', staleIfError: '10m' } } },
    });
    await world.answerTo();
    world.clock.advance(120_000);
    for (const stream of [false, true]) {
      const seen = await world.answerTo({ stream }, { 'x-breakwater-deadline-ms': '1000' });
      assert.deepEqual([seen.status, useOf(seen), seen.headers.get('age')], [200, 'stale', '120']);
    }
    world.clock.advance(10 * 60_000);
    const gone = await world.answerTo({}, { 'x-breakwater-deadline-ms': '1000' });
    assert.equal(errorOf(gone.text).code, 'rate_limited');
    assert.equal(world.callsTo('a'), 1);
  });

  it('does not hide an error in the request itself', async (t) => {
    const world = await start(t, (nth) =>
      nth === 0 ? chatResponse() : chatError(400, { code: 'invalid_value', type: 'invalid_request_error' }),
    );
    await world.answerTo();
    world.clock.advance(HOUR_MS);
    assert.equal((await world.answerTo()).status, 400);
  });

  it('is served after the patience for a better tier while a breaker is open', async (t) => {
    let isDown = false;
    const world = await start(t, () => (isDown ? chatError(503) : chatResponse()), {
      config: { policy: { cache, breaker: { consecutiveFailures: 2, minRequests: 2, openFor: '1m' }, maxAttempts: 2 } },
    });
    await world.answerTo();
    isDown = true;
    world.clock.advance(HOUR_MS);
    await world.answerTo();
    await world.answerTo();
    const before = world.clock.now();
    assert.equal(useOf(await world.answerTo()), 'stale');
    assert.ok(world.clock.now() - before <= 1_100, `${world.clock.now() - before} ms`);
  });

  it('is served to every joined request', async (t) => {
    let isDown = false;
    const world = await start(t, () => (isDown ? chatError(503) : chatResponse()));
    await world.answerTo();
    isDown = true;
    world.clock.advance(HOUR_MS);
    const seen = await world.until(Promise.all([world.ask().done, world.ask({ stream: true }).done, world.ask().done]));
    assert.deepEqual(seen.map(useOf), ['stale', 'stale', 'stale']);
    isDown = false;
    world.clock.advance(60_000);
    assert.equal(useOf(await world.answerTo()), null, 'the provider is called again');
  });
});

describe('requests that share a response', () => {
  it('wait in the best class among them', async (t) => {
    const order: unknown[] = [];
    const answer = (_: number, call: SimulatedCall) => {
      order.push(bodyOf(call)['max_tokens']);
      return chatResponse({ headersAfterMs: 100 });
    };
    const world = await start(t, answer, { limits: { concurrency: 1 } });
    const asks = [
      world.ask({ max_tokens: 1 }),
      world.ask({ max_tokens: 2 }),
      world.ask({ max_tokens: 3 }, { 'x-breakwater-priority': 'low' }),
    ];
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(10, resolve)));
    asks.push(world.ask({ max_tokens: 3 }, { 'x-breakwater-priority': 'high' }));
    await world.until(Promise.all(asks.map(({ done }) => done)));
    assert.deepEqual(order, [1, 3, 2]);
  });

  it('all get its failure, each in its own form', async (t) => {
    const world = await start(t, () => ({ steps: [{ do: 'wait', ms: 50 }, ...chatError(503).steps] }), {
      config: { policy: { cache, maxAttempts: 1 } },
    });
    const seen = await world.until(Promise.all([world.ask().done, world.ask().done, world.ask({ stream: true }).done]));
    assert.deepEqual(
      seen.map(({ status }) => status),
      [503, 503, 503],
    );
    assert.equal(world.callsTo('a'), 1);
    assert.ok(seen.every(({ text }) => errorOf(text).message !== ''));
    assert.equal(world.gateway.queue().inFlight, 0);
  });

  it('in another form get it by their own deadline, or not at all', async (t) => {
    const world = await start(t, () => chatStream({ words: Array.from({ length: 20 }, () => 'word '), gapMs: 1_000 }));
    const streamed = world.ask({ stream: true });
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(2_000, resolve)));
    const asks = [world.ask({}, { 'x-breakwater-deadline-ms': '5000' }), world.ask({}, { 'x-breakwater-deadline-ms': '60000' })];
    const [late, whole] = await world.until(Promise.all(asks.map(({ done }) => done)));
    assert.deepEqual([late!.status, errorOf(late!.text).code, Math.round(late!.endAtMs)], [504, 'deadline_exceeded', 5_000]);
    assert.deepEqual([whole!.status, useOf(whole!)], [200, 'coalesced']);
    assert.match((await world.until(streamed.done)).text, /\[DONE\]/);
    assert.equal(world.callsTo('a'), 1);
  });

  it('are ended when the gateway closes', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 10_000 }));
    const asks = [world.ask(), world.ask()];
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(10, resolve)));
    const closing = world.gateway.close();
    const seen = await world.until(Promise.all(asks.map(({ done }) => done)));
    assert.deepEqual(
      seen.map(({ text }) => errorOf(text).code),
      ['shutting_down', 'shutting_down'],
    );
    await world.until(closing);
    assert.equal(world.gateway.queue().inFlight, 0);
  });
});
