/**
 * Calls whose usage is unknown, in whole or in part, are never free: the ledger counts them as unpriced, budgets are charged an estimate,
 * and the ledger, the budget, the events and the header agree. In virtual time.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatError, chatResponse, streamStart } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { json } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const PRICES = { 'a/m': { input: 1_000, output: 5_000 }, 'b/m': { input: 1_000, output: 5_000 } };
const WEB = { authorization: 'Bearer web-key-1234' };
const EVER = ['0000-01-01', '9999-12-31'] as const;

const SILENT: SimulatedResponse = { steps: [{ do: 'wait', ms: Infinity }] };
const HEAD: SimulatedStep = { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } };
const event = (value: object): SimulatedStep => ({
  do: 'send',
  bytes: `event: ${(value as { type: string }).type}\ndata: ${JSON.stringify(value)}\n\n`,
});

/** `a` responds as given, `b` well. */
function start(
  t: TestContext,
  a: SimulatedResponse,
  policy: NonNullable<ConfigInput['policy']> = {},
  more: Partial<VirtualOptions> = {},
): Promise<VirtualWorld> {
  const budget = { usd: 1_000, per: 'month' as const };
  return startVirtualWorld(t, {
    providers: { a: () => a, b: () => chatResponse() },
    domain: '.test',
    config: { prices: PRICES, clients: [{ name: 'web', key: 'web-key-1234', budget }], policy },
    ...more,
  });
}

/** What ledger, budget and events say, once they agree. */
async function booked(world: VirtualWorld) {
  const { money } = world.gateway;
  const { total } = await money.report(['target'], ...EVER);
  const finished = world.eventsOf('finished');
  const sum = (of: (event: (typeof finished)[number]) => number | null | undefined): number =>
    finished.reduce((all, one) => all + (of(one) ?? 0), 0);
  const near = (actual: number, expected: number, what: string): void =>
    assert.ok(Math.abs(actual - expected) < 1e-9, `${what}: ${actual}, not ${expected}`);
  near(
    sum(({ costUsd }) => costUsd),
    total.costUsd,
    'the cost of the events',
  );
  near(
    sum(({ estimatedUsd }) => estimatedUsd),
    total.estimatedCostUsd,
    'the estimates of the events',
  );
  near(money.clients.status().get('web')!.spentUsd, total.costUsd + total.estimatedCostUsd, 'what the budget has spent');
  assert.equal(
    sum(({ unmeasuredCalls }) => unmeasuredCalls),
    total.unpricedCalls,
  );
  assert.equal(
    sum(({ wasted }) => wasted?.unmeasuredCalls),
    (await money.report(['target'], ...EVER)).rows.reduce((all, row) => all + (row.wastedCalls > 0 ? row.unpricedCalls : 0), 0),
  );
  return total;
}

describe('a call that was sent and closed before its response began', () => {
  const hedge = { hedge: { enabled: true, delay: '1s', budget: 1 } };
  const cases: Readonly<Record<string, (t: TestContext) => Promise<VirtualWorld>>> = {
    'a hedged one that lost': async (t) => {
      const world = await start(t, SILENT, hedge);
      const seen = await world.answerTo({}, WEB);
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.equal(Number(seen.headers.get('x-breakwater-cost-usd')), world.eventsOf('finished')[0]!.costUsd);
      return world;
    },
    'one that timed out': async (t) => {
      const world = await start(t, SILENT, { timeouts: { headers: '2s', firstContent: '2s' } });
      assert.equal((await world.answerTo({}, WEB)).headers.get('x-breakwater-target'), 'b/m');
      return world;
    },
    'a connection that broke': async (t) => {
      const world = await start(t, {
        steps: [
          { do: 'wait', ms: 5_000 },
          { do: 'break', code: 'ECONNRESET' },
        ],
      });
      assert.equal((await world.answerTo({}, WEB)).headers.get('x-breakwater-target'), 'b/m');
      return world;
    },
    'a caller who left': async (t) => {
      const world = await start(t, SILENT, {}, { models: { fast: ['a/m'] } });
      const asked = world.ask({}, WEB);
      await world.clock.advanceAsync(1_000);
      asked.leave();
      await asked.done.catch(() => {});
      await world.clock.advanceAsync(0);
      return world;
    },
  };
  for (const [name, run] of Object.entries(cases)) {
    it(`is counted and charged: ${name}`, async (t) => {
      const world = await run(t);
      const total = await booked(world);
      assert.deepEqual([total.unpricedCalls, total.wastedCalls], [1, 1]);
      assert.equal(total.calls, world.upstream.calls.length);
      assert.ok(total.estimatedCostUsd > 0.1, `$${total.estimatedCostUsd}: its prompt, and the response that it may have made`);
      const [lost] = world.eventsOf('attempt_end').filter(({ usage }) => usage === null);
      assert.ok(lost!.estimated!.inputTokens > 0 && lost!.estimated!.outputTokens > 0);
    });
  }

  it('is charged its prompt alone where a stream has shown nothing', async (t) => {
    for (const steps of [SILENT.steps, [HEAD, ...SILENT.steps]]) {
      const world = await start(t, { steps }, hedge);
      const asked = await world.answerTo({ stream: true }, WEB);
      assert.equal(asked.status, 200);
      const [lost] = world.eventsOf('attempt_end').filter(({ target }) => target === 'a/m');
      assert.ok(lost!.estimated!.inputTokens > 0);
      assert.equal(lost!.estimated!.outputTokens, 0);
      const [finished] = world.eventsOf('finished');
      assert.deepEqual([finished!.wasted?.unmeasuredCalls, finished!.wasted?.costUsd], [1, null]);
    }
  });

  it('costs nothing where the model is free', async (t) => {
    const world = await start(t, SILENT, hedge, {
      config: {
        prices: { 'a/m': { input: 0 }, 'b/m': PRICES['b/m'] },
        clients: [{ name: 'web', key: 'web-key-1234', budget: { usd: 1, per: 'day' } }],
        policy: hedge,
      },
    });
    await world.answerTo({}, WEB);
    const total = await booked(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.estimatedCostUsd], [2, 0, 0]);
  });
});

describe('a call that got no further than an error', () => {
  const free: Readonly<Record<string, SimulatedResponse>> = {
    'no connection': { refuse: 'ECONNREFUSED', steps: [] },
    'an error status': chatError(500),
    'an error in place of a response': json(200, { error: { message: 'x', code: 'server_error' } }),
  };
  for (const [name, reply] of Object.entries(free)) {
    it(`is free: ${name}`, async (t) => {
      const world = await start(t, reply);
      assert.equal((await world.answerTo({}, WEB)).headers.get('x-breakwater-target'), 'b/m');
      const total = await booked(world);
      assert.deepEqual([total.calls, total.unpricedCalls, total.estimatedCostUsd], [1, 0, 0]);
      assert.equal(world.eventsOf('finished')[0]!.wasted, undefined);
    });
  }
});

describe('a response without usage', () => {
  it('is counted as unpriced and charged what was received', async (t) => {
    const whole = { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: 'A few words.' }, finish_reason: 'stop' }] };
    const world = await start(t, json(200, whole));
    assert.equal((await world.answerTo({}, WEB)).headers.get('x-breakwater-target'), 'a/m');
    const total = await booked(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.wastedCalls, total.costUsd], [1, 1, 0, 0]);
    assert.ok(total.estimatedCostUsd > 0);
  });

  it('that is empty is charged its prompt', async (t) => {
    const empty = { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'stop' }] };
    const world = await start(t, json(200, empty));
    assert.equal((await world.answerTo({}, WEB)).headers.get('x-breakwater-target'), 'b/m');
    const total = await booked(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.wastedCalls], [2, 1, 1]);
    assert.ok(total.estimatedCostUsd > 0);
  });

  it('that breaks off is charged what was received', async (t) => {
    const world = await start(t, { steps: [...streamStart(), { do: 'break', code: 'ECONNRESET' }] });
    await world.answerTo({ stream: true }, WEB);
    const total = await booked(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.wastedCalls], [1, 1, 0]);
  });
});

describe('a stream that reports its usage at the beginning and breaks off', () => {
  it('is counted as unpriced, with what it reported and an estimate of the rest', async (t) => {
    const usage = { input_tokens: 50_000, output_tokens: 1 };
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, usage };
    const steps: SimulatedStep[] = [
      HEAD,
      event({ type: 'message_start', message }),
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      ...Array.from({ length: 400 }, () =>
        event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'ten words ' } }),
      ),
      { do: 'wait', ms: 1_000 },
      { do: 'break', code: 'ECONNRESET' },
    ];
    const configured = { a: { protocol: 'anthropic' as const, baseUrl: 'http://a.test/v1', apiKey: 'sk-test' } };
    const world = await start(t, { steps }, {}, { providers: { a: () => ({ steps }) }, configured, models: { fast: ['a/m'] } });
    await world.answerTo({ stream: true, max_tokens: 2_000 }, WEB);
    const total = await booked(world);
    assert.deepEqual([total.calls, total.unpricedCalls, total.inputTokens, total.outputTokens], [1, 1, 50_000, 1]);
    assert.ok(total.estimatedCostUsd > 1, `$${total.estimatedCostUsd} for some 800 tokens`);
  });
});
