/** What calls used is counted whatever became of their answers: header, timeline and events agree. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { chatResponse } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { json } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen, VirtualWorld } from './virtual.ts';

const PRICES = { 'a/m': { input: 10, output: 100 }, 'b/m': { input: 1, output: 10 } };

const usageOf = (input: number, output: number) => ({ prompt_tokens: input, completion_tokens: output });
const answer = (content: string, usage: object | null, finish = 'stop'): SimulatedResponse =>
  json(200, { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: finish }], usage });
const event = (value: object | string): SimulatedStep => ({
  do: 'send',
  bytes: `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`,
});
const chunk = (delta: object, finish: string | null = null, more: object = {}): SimulatedStep =>
  event({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }], ...more });
const HEAD: SimulatedStep = { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } };

const twoTargets = (t: TestContext, a: SimulatedResponse, b: SimulatedResponse, config: Omit<ConfigInput, 'providers' | 'models'> = {}) =>
  startVirtualWorld(t, { providers: { a: () => a, b: () => b }, domain: '.test', config: { prices: PRICES, ...config } });

/** Everything that says what the only request cost. */
function told(world: VirtualWorld, seen: VirtualSeen) {
  const [finished] = world.eventsOf('finished');
  const attempts = world.eventsOf('attempt_end').map(({ costUsd }) => costUsd ?? 0);
  const header = seen.headers.get('x-breakwater-cost-usd');
  return { finished, header: header === null ? null : Number(header), attempts, sum: attempts.reduce((sum, cost) => sum + cost, 0) };
}

describe('the usage of a call whose answer is not used', () => {
  const good = answer('A whole answer.', usageOf(100, 10));
  const cases: readonly (readonly [string, SimulatedResponse, Omit<ConfigInput, 'providers' | 'models'>])[] = [
    ['an empty one', answer('', usageOf(200, 20)), {}],
    ['one that ends with network_error', answer('half', usageOf(200, 20), 'network_error'), {}],
    ['one that fails a quality check', answer('Short.', usageOf(200, 20)), { policy: { quality: { minLength: 10 } } }],
    ['an error in its place', json(200, { error: { message: 'x', code: 'server_error' }, usage: usageOf(200, 20) }), {}],
  ];
  for (const [name, discarded, config] of cases) {
    it(`counts: ${name}`, async (t) => {
      const world = await twoTargets(t, discarded, good, config);
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      const { finished, header, attempts, sum } = told(world, seen);
      assert.deepEqual(attempts, [0.004, 0.0002]);
      assert.ok(Math.abs(sum - 0.0042) < 1e-12);
      assert.deepEqual([header, finished?.costUsd], [0.0042, 0.0042]);
      assert.deepEqual(finished?.usage, { inputTokens: 300, cachedInputTokens: 0, outputTokens: 30 });
      const usage = { inputTokens: 200, cachedInputTokens: 0, outputTokens: 20 };
      assert.deepEqual(finished?.wasted, { usage, costUsd: 0.004 });
    });
  }

  it('counts where the best of several poor answers is used', async (t) => {
    const config = { policy: { quality: { minLength: 60 } } };
    const world = await twoTargets(t, answer('The longer of two.', usageOf(200, 20)), answer('Short.', usageOf(100, 10)), config);
    const seen = await world.answerTo();
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-quality')], ['a/m', 'short']);
    const { finished, header } = told(world, seen);
    assert.deepEqual([header, finished?.costUsd, finished?.wasted?.costUsd], [0.0042, 0.0042, 0.0002]);
  });

  it('counts where every call failed', async (t) => {
    const failed = answer('half', usageOf(100, 10), 'error');
    const world = await twoTargets(t, failed, failed, { policy: { maxAttempts: 2 } });
    const seen = await world.answerTo();
    assert.ok(seen.status >= 500);
    const { finished } = told(world, seen);
    assert.deepEqual([finished?.outcome, finished?.target, finished?.costUsd], ['failed', null, 0.0022]);
    assert.deepEqual(finished?.wasted, { usage: finished?.usage, costUsd: 0.0022 });
  });

  it('counts for a hedge that lost, as far as it told its usage', async (t) => {
    const silent: SimulatedResponse = {
      steps: [HEAD, chunk({ role: 'assistant', content: '' }, null, { usage: usageOf(200, 0) }), { do: 'wait', ms: Infinity }],
    };
    const quick: SimulatedResponse = {
      steps: [HEAD, chunk({ content: 'Hi' }), chunk({}, 'stop'), event({ id: 'x', choices: [], usage: usageOf(100, 10) }), event('[DONE]')],
    };
    const config = { policy: { hedge: { enabled: true, delay: '1s', budget: 1 } } };
    const world = await twoTargets(t, silent, quick, config);
    const seen = await world.answerTo({ stream: true });
    const { finished } = told(world, seen);
    assert.deepEqual([finished?.target, finished?.attempts], ['b/m', 2]);
    assert.deepEqual([finished?.costUsd, finished?.wasted?.costUsd], [0.0022, 0.002]);
  });

  it('is absent where nothing was wasted, and a call without a price makes the sum unknown', async (t) => {
    const world = await twoTargets(t, good, good);
    const first = told(world, await world.answerTo());
    assert.deepEqual([first.header, first.finished?.wasted], [0.002, undefined]);
    const other = await twoTargets(t, answer('', usageOf(200, 20)), good, { prices: { 'b/m': PRICES['b/m'] } });
    const { finished, header } = told(other, await other.answerTo());
    assert.deepEqual([header, finished?.costUsd, finished?.wasted?.costUsd], [null, null, null]);
    assert.equal(finished?.usage?.inputTokens, 300);
  });
});

describe('the ledger', () => {
  it('holds no configured key that a caller sent in place of a model', async (t) => {
    const store = createMemoryStore({ clock: createManualClock() });
    const world = await startVirtualWorld(t, { providers: { a: () => chatResponse() }, domain: '.test', keys: ['sk-secret-1234'], store });
    assert.equal((await world.answerTo({ model: 'a/sk-secret-1234' })).status, 200);
    await world.clock.advanceAsync(1_000);
    const [row] = [...(await store.getAll('usage'))];
    const text = JSON.stringify(row);
    assert.ok(text.includes('a/**************') && !text.includes('secret'), text);
  });
});

describe('reasoning outside the completion tokens', () => {
  it('is counted and paid for', async (t) => {
    const usage = { ...usageOf(100, 10), total_tokens: 610, completion_tokens_details: { reasoning_tokens: 500 } };
    const world = await twoTargets(t, answer('Hi', usage), answer('Hi', usage));
    const { finished, header } = told(world, await world.answerTo());
    assert.deepEqual([finished?.usage?.outputTokens, finished?.usage?.reasoningTokens], [510, 500]);
    assert.deepEqual([header, finished?.costUsd], [0.052, 0.052]);
  });
});

describe('a server that tells no usage', () => {
  const forms: readonly (readonly [string, boolean, SimulatedResponse])[] = [
    ['plain', false, answer('A few words.', null)],
    ['streamed', true, { steps: [HEAD, ...'A few more words to say'.split(' ').map((word) => chunk({ content: word })), chunk({}, 'stop'), event('[DONE]')] }],
  ]; // prettier-ignore
  for (const [name, stream, reply] of forms) {
    it(`has its reservation settled by an estimate (${name})`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => reply }, limits: { tokensPerMinute: 2_000 } });
      const startedAt = world.clock.now();
      for (let i = 0; i < 12; i++) assert.equal((await world.answerTo({ stream, max_tokens: 1_500 })).status, 200);
      assert.equal(world.upstream.calls.length, 12);
      assert.ok(world.clock.now() - startedAt < 1_000, `${world.clock.now() - startedAt} ms`);
      const again = Array.from({ length: 2 }, () => world.ask({ stream, max_tokens: 1_500 }).done);
      await world.until(Promise.all(again));
      assert.equal(world.upstream.calls.length, 14);
    });

    it(`has what it said taken from its limits (${name})`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => reply }, limits: { tokensPerMinute: 60 } });
      for (let i = 0; i < 30; i++) await world.answerTo({ stream, max_tokens: 20 });
      // Some ten tokens a call: what a minute allows is used up before the last of them.
      assert.ok(world.clock.now() > 60_000, `${world.clock.now()} ms`);
    });
  }
});
