/** Which calls of a request count as wasted, and who pays for the questions to a quality judge. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { proseFor } from '../../src/storm/continuation.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { chatResponse } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { contentOf, startWorld } from './world.ts';
import type { World, WorldOptions } from './world.ts';

const PROMPT = 'prose en 7';
const CUT: StormOptions = { faults: [{ kind: 'cut', afterTokens: 60 }] };
/** Behind as much as a continuation is known by. */
const CUT_LATER: StormOptions = { faults: [{ kind: 'cut', afterTokens: 150 }], timing: { tokensPerSecond: 20_000 } };

async function continued(t: TestContext, storms: WorldOptions['storms'], ...targets: string[]): Promise<World> {
  const world = await startWorld(t, {
    storms,
    models: { fast: targets.map((target) => ({ target, prefill: true })) },
    config: { policy: { stream: { recover: 'continue' }, retry: { baseDelay: '1ms' } } },
  });
  const response = await world.chat({ model: 'fast', stream: true, messages: [{ role: 'user', content: PROMPT }], max_tokens: 1000 });
  assert.equal(contentOf(await response.text()), proseFor(PROMPT));
  return world;
}

const callsOf = (world: World) => world.eventsOf('finished')[0]!.calls!.map(({ target, wasted }) => [target, wasted]);

describe('no part of a continued response is wasted', () => {
  it('of three targets', async (t) => {
    const world = await continued(t, { a: CUT, b: CUT_LATER, c: {} }, 'a/m', 'b/m', 'c/m');
    assert.deepEqual(callsOf(world), [
      ['a/m', false],
      ['b/m', false],
      ['c/m', false],
    ]);
    assert.equal(world.eventsOf('finished')[0]!.wasted, undefined);
  });

  it('of the same target', async (t) => {
    const world = await continued(t, { a: { faults: [{ kind: 'cut', afterTokens: 60, calls: { first: 1 } }] } }, 'a/m');
    assert.deepEqual(callsOf(world), [
      ['a/m', false],
      ['a/m', false],
    ]);
    assert.equal(world.eventsOf('finished')[0]!.wasted, undefined);
  });

  it('but a continuation that is not used is', async (t) => {
    const world = await continued(t, { a: CUT, b: {}, c: {} }, 'a/m', 'b/partial-over', 'c/m');
    assert.deepEqual(callsOf(world), [
      ['a/m', false],
      ['b/partial-over', true],
      ['c/m', false],
    ]);
    assert.ok(world.eventsOf('finished')[0]!.wasted !== undefined);
  });
});

describe('the questions to a quality judge', () => {
  const WEB = { authorization: 'Bearer web-key-1234' };
  const PRICES = { 'a/m': { input: 1_000, output: 5_000 }, 'j/m': { input: 2_000, output: 9_000 } };

  const judged = (
    t: TestContext,
    judge: Parameters<typeof chatResponse>[0],
    more: Partial<VirtualOptions['config']> = {},
  ): Promise<VirtualWorld> =>
    startVirtualWorld(t, {
      providers: { a: () => chatResponse(), j: () => chatResponse(judge) },
      domain: '.test',
      models: {
        fast: { targets: ['a/m'], quality: { check: { model: 'judge', instruction: 'Is it fine?' }, checkTimeout: '2s' } },
        judge: ['j/m'],
      },
      config: {
        prices: PRICES,
        clients: [{ name: 'web', key: 'web-key-1234', budget: { usd: 100, per: 'month' }, sessionLimits: { usd: 100 } }],
        ...more,
      },
    });
  const spentOf = (world: VirtualWorld): number => world.gateway.money.clients.status().get('web')!.spentUsd;
  const reportOf = (world: VirtualWorld) => world.gateway.money.report(['client'], '0000-01-01', '9999-12-31');

  it('are charged to the budget, and part of the cost in the header', async (t) => {
    const world = await judged(t, { words: ['PASS'] });
    const seen = await world.answerTo({}, WEB);
    const [judge, request] = world.eventsOf('finished');
    assert.ok(judge!.costUsd! > 0 && request!.costUsd! > 0);
    const all = judge!.costUsd! + request!.costUsd!;
    assert.equal(Number(seen.headers.get('x-breakwater-cost-usd')), Number(all.toPrecision(6)));
    assert.ok(Math.abs(spentOf(world) - all) < 1e-9);
    assert.equal(request!.checksUsd, judge!.costUsd);
    const { total } = await reportOf(world);
    assert.deepEqual([total.calls, total.costUsd], [2, Number(all.toPrecision(12))]);
  });

  it('count in the limits of a session', async (t) => {
    const client = { name: 'web', key: 'web-key-1234', sessionLimits: { tokens: 12 } };
    const world = await judged(t, { words: ['PASS'] }, { clients: [client] });
    // 8 tokens of the response, and 6 of the question.
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await world.answerTo({}, { ...WEB, 'x-session-id': 'one' })).status);
    assert.deepEqual(statuses, [200, 429]);
  });

  it('are charged by estimate where no reply came in time', async (t) => {
    const world = await judged(t, { headersAfterMs: 60_000 });
    const seen = await world.answerTo({}, WEB);
    assert.deepEqual([seen.status, seen.endAtMs], [200, 2_000]);
    const { total } = await reportOf(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.wastedCalls], [2, 1, 1]);
    assert.ok(total.estimatedCostUsd > 0);
    assert.ok(Math.abs(spentOf(world) - total.costUsd - total.estimatedCostUsd) < 1e-9);
  });
});
