/** What calls cost, whose budget they are charged to, and what happens when it is spent; held against Storm's own count of tokens. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { UsageReport } from '../../src/gateway/money/usage-report.ts';
import { parseConfig } from '../../src/gateway/config/index.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import { periodAt } from '../../src/policy/budget/money-budget.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { chatBody } from './harness.ts';
import { createFaultyDisk, openFaultyStore } from '../../src/testing/faulty-store.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { errorOf, startWorld } from './world.ts';
import type { World, WorldOptions } from './world.ts';

type ClientInput = Extract<NonNullable<ConfigInput['clients']>, readonly unknown[]>[number];

const WEB = { authorization: 'Bearer web-key-1234' };
/** Ten thousand times the usual prices, so that a few calls are worth something. */
const PRICES = { 'a/m': { input: 25_000, output: 100_000 }, 'b/m': { input: 1_000, output: 2_000 } };

function startPaid(t: TestContext, client: ClientInput, options: Partial<WorldOptions> = {}): Promise<World> {
  return startWorld(t, {
    storms: { a: {}, b: {} },
    models: { fast: ['a/m'], both: ['a/m', 'b/m'] },
    ...options,
    config: { clients: [client], prices: PRICES, server: { adminKey: 'operator-key' }, ...options.config },
  });
}

async function usageOf(
  world: World,
  query: string,
): Promise<UsageReport & { budgets: Record<string, { spentUsd: number; remainingUsd: number }> }> {
  const response = await fetch(`${world.url}/admin/usage?${query}`, { headers: { authorization: 'Bearer operator-key' } });
  assert.equal(response.status, 200);
  return (await response.json()) as never;
}

/** By Storm's own count of tokens. */
function billed(world: World, name: 'a' | 'b'): number {
  const { input, output } = world.storms[name]!.stats().tokens;
  const price = PRICES[`${name}/m`];
  return (input * price.input + output * price.output) / 1e6;
}

describe('usage', () => {
  it('agrees with the provider to the last digit, and tells wasted calls apart', async (t) => {
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234' },
      { storms: { a: { faults: [{ kind: 'empty', probability: 0.5 }] }, b: {} }, models: { fast: ['a/m', 'b/m'] } },
    );
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => world.ask({ stream: i % 2 === 0 }, WEB)));
    assert.ok(answers.every(({ status }) => status === 200));
    const { rows, total } = await usageOf(world, 'by=target');
    const of = (target: string) => rows.find((row) => row.target === target)!;
    assert.equal(of('a/m').costUsd, billed(world, 'a'));
    assert.equal(of('b/m').costUsd, billed(world, 'b'));
    assert.equal(of('a/m').calls, world.storms['a']!.stats().calls);
    assert.equal(total.calls - total.wastedCalls, 60, 'one response for each request');
    assert.ok(total.wastedCalls > 0 && of('b/m').wastedCalls === 0);
  });

  it('survives a restart, and is the same as CSV', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'breakwater-money-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const open = () => openStore(`sqlite:${join(folder, 'state.db')}`, { clock: systemClock, onWarning: assert.fail });
    const client = { name: 'web', key: 'web-key-1234', budget: { usd: 1000, per: 'month' as const } };
    const before = await startPaid(t, client, { store: await open() });
    for (let i = 0; i < 3; i++) await before.ask({}, WEB);
    const spent = billed(before, 'a');
    await before.gateway.close();
    const after = await startPaid(t, client, { store: await open() });
    const { rows, budgets } = await usageOf(after, 'by=client,model');
    assert.deepEqual(
      rows.map(({ client: name, model, calls, costUsd }) => [name, model, calls, costUsd]),
      [['web', 'fast', 3, spent]],
    );
    assert.ok(Math.abs(budgets['web']!.spentUsd - spent) < 1e-9);
    const csv = await fetch(`${after.url}/admin/usage?by=client&format=csv`, { headers: { authorization: 'Bearer operator-key' } });
    const [head, row] = (await csv.text()).split('\r\n').map((line) => line.split(','));
    assert.equal(row![head!.indexOf('costUsd')], String(spent));
  });

  it('says so where the store cannot be read, and is no table of half the calls', async (t) => {
    const disk = createFaultyDisk({ clock: systemClock, random: createSeededRandom(1) });
    const store = await openFaultyStore({ clock: systemClock, disk });
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234' }, { store });
    assert.equal((await world.ask({}, WEB)).status, 200);
    assert.equal((await usageOf(world, 'by=client')).incomplete, undefined);
    disk.setFaults({ failureRatio: 1 });
    for (let i = 0; i < 2; i++) {
      const report = await usageOf(world, 'by=client');
      assert.deepEqual([report.incomplete, report.total.calls], [true, 1]);
    }
    const csv = await fetch(`${world.url}/admin/usage?format=csv`, { headers: { authorization: 'Bearer operator-key' } });
    assert.equal(csv.status, 503);
    assert.equal(errorOf(await csv.text()).code, 'store_unavailable');
    disk.heal();
  });

  it('refuses what it cannot read', async (t) => {
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234' });
    for (const query of ['by=colour', 'from=yesterday', 'from=2026-02-30', 'from=2026-02-02&to=2026-02-01', 'format=xml']) {
      const response = await fetch(`${world.url}/admin/usage?${query}`, { headers: { authorization: 'Bearer operator-key' } });
      assert.equal(response.status, 400, query);
    }
    assert.equal((await fetch(`${world.url}/admin/usage`, { headers: WEB })).status, 401, 'a client is no operator');
  });
});

describe('a budget', () => {
  it('is not exceeded by a thousand parallel requests', async (t) => {
    const storm: StormOptions = { timing: { firstToken: 30 } } as never;
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget: { usd: 40, per: 'month' } },
      { storms: { a: storm, b: {} } },
    );
    const answers = await Promise.all(Array.from({ length: 1000 }, () => world.ask({}, WEB)));
    const served = answers.filter(({ status }) => status === 200).length;
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(served + refused.length, 1000);
    assert.equal(served, world.storms['a']!.stats().calls);
    const spent = billed(world, 'a');
    assert.ok(spent <= 40, `$${spent}`);
    assert.ok(spent > 40 - 2 * (spent / served), `$${spent} of $40 is used`);
    const { code, message } = errorOf(refused[0]!.text);
    assert.equal(code, 'budget_exceeded');
    assert.match(message, /budget of client "web", \$40 per month, .*the next month begins at \d{4}-\d\d-01T00:00:00.000Z/);
    assert.equal(refused[0]!.headers.get('x-should-retry'), 'false');
    assert.ok(Number(refused[0]!.headers.get('retry-after')) > 0);
    const { total, budgets } = await usageOf(world, 'by=client');
    assert.equal(total.costUsd, spent);
    assert.ok(Math.abs(budgets['web']!.spentUsd - spent) < 1e-9);
  });

  it('that running requests have reserved is waited for, up to the deadline', async (t) => {
    const storms = { a: { timing: { plainMs: 1_000 } }, b: {} };
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234', budget: { usd: 3, per: 'day' } }, { storms });
    const running = world.ask({}, WEB);
    const refused = await world.ask({}, { ...WEB, 'x-breakwater-deadline-ms': '500' });
    assert.deepEqual([refused.status, errorOf(refused.text).code, refused.headers.get('retry-after')], [429, 'budget_exceeded', '1']);
    assert.match(errorOf(refused.text).message, /\$0 spent, and the rest is reserved for running requests/);
    assert.equal((await running).status, 200);
  });

  it('that one request alone would exceed is no matter of time', async (t) => {
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234', budget: { usd: 0.2, per: 'day' } });
    const { status, text, headers } = await world.ask({}, WEB);
    const { code, message } = errorOf(text);
    assert.deepEqual([status, code, headers.get('retry-after')], [429, 'budget_exceeded', null]);
    assert.match(message, /estimated cost of this request, \$[\d.]+, is more than the budget of client "web", \$0.2 per day/);
  });

  it('that is smaller than the estimate of a request refuses it for good, and says so', async (t) => {
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget: { usd: 1, per: 'hour' } },
      { models: { fast: ['a/m', 'b/m'] } },
    );
    const large = await world.ask({ max_tokens: 100_000 }, WEB);
    const { code, message } = errorOf(large.text);
    assert.deepEqual([large.status, code], [429, 'budget_exceeded']);
    assert.match(
      message,
      /estimated cost of this request, \$2\d\d\.?\d*, is more than the budget of client "web", \$1 per hour; lower max_tokens/,
    );
    assert.deepEqual([large.headers.get('retry-after'), large.headers.get('x-should-retry')], [null, 'false']);
    assert.equal((await world.ask({ max_tokens: 5 }, WEB)).status, 200);
  });

  it('that is spent refuses as a budget where the other target is out of service, and names that target', async (t) => {
    const client = { name: 'web', key: 'web-key-1234', budget: { usd: 5, per: 'day' as const } };
    const prices = { ...PRICES, 'b/m': { input: 0, output: 0 } };
    const world = await startPaid(t, client, { models: { fast: ['a/m', 'b/m'] }, config: { prices } });
    while ((await world.ask({}, WEB)).headers.get('x-breakwater-target') === 'a/m');
    const isolate = await fetch(`${world.url}/admin/targets/b%2Fm/isolate`, {
      method: 'POST',
      headers: { authorization: 'Bearer operator-key' },
    });
    assert.equal(isolate.status, 200);
    const { status, text, headers } = await world.ask({}, { ...WEB, 'x-breakwater-deadline-ms': '400' });
    const { code, message } = errorOf(text);
    assert.deepEqual([status, code, headers.get('x-should-retry')], [429, 'budget_exceeded', 'false']);
    assert.match(message, /the budget of client "web", \$5 per day, .*the next day begins at .*; b\/m: isolated by hand$/);
    const large = await world.ask({ max_tokens: 100_000 }, WEB);
    assert.match(errorOf(large.text).message, /more than the budget of client "web".*; b\/m: isolated by hand$/);
    assert.equal(large.headers.get('retry-after'), '60', 'not for good: a batch repeats it');
  });

  it('that is spent lets requests use a cheaper target, where one is named', async (t) => {
    const budget = { usd: 5, per: 'day' as const, onExhausted: 'b/m' };
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234', budget });
    const answers = [];
    for (let i = 0; i < 8; i++) answers.push(await world.ask({}, WEB));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const targets = answers.map(({ headers }) => headers.get('x-breakwater-target'));
    const first = targets.indexOf('b/m');
    assert.ok(first > 0 && targets.slice(first).every((target) => target === 'b/m'), targets.join());
    assert.equal(answers.at(-1)!.headers.get('x-breakwater-fallback'), 'budget');
    assert.ok(answers.at(-1)!.ms < 800, 'at once, without waiting for a better target');
    const only = await world.ask({}, { ...WEB, 'x-breakwater-fallback': 'off' });
    assert.equal(errorOf(only.text).code, 'budget_exceeded');
  });

  it('that is spent lets requests use the cheaper target also where their route has it already', async (t) => {
    const budget = { usd: 5, per: 'day' as const, onExhausted: 'b/m' };
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234', budget }, { models: { fast: ['a/m', 'b/m'] } });
    const answers = [];
    for (let i = 0; i < 12; i++) answers.push(await world.ask({}, WEB));
    for (let i = 0; i < 2; i++) answers.push(await world.ask({ model: 'b/m' }, WEB));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const targets = answers.map(({ headers }) => headers.get('x-breakwater-target'));
    assert.equal(targets[0], 'a/m');
    assert.deepEqual([...new Set(targets.slice(8))], ['b/m']);
    assert.equal(answers[11]!.headers.get('x-breakwater-fallback'), 'budget');
  });

  it('has to have room for the fallback of a cheaper target', async (t) => {
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget: { usd: 20, per: 'month' } },
      {
        storms: { a: { timing: { plainMs: 30 } }, b: { faults: [{ kind: '503' }] } },
        models: { fast: ['b/m', 'a/m'] },
        config: { prices: { ...PRICES, 'b/m': { input: 0, output: 0 } } },
      },
    );
    const answers = await Promise.all(Array.from({ length: 60 }, () => world.ask({}, { ...WEB, 'x-breakwater-deadline-ms': '5000' })));
    const served = answers.filter(({ status }) => status === 200).length;
    const spent = billed(world, 'a');
    assert.ok(spent > 0 && spent <= 20, `$${spent}`);
    assert.ok(served > 0 && served < 60, `${served} of 60`);
    const { budgets } = await usageOf(world, 'by=client');
    assert.ok(Math.abs(budgets['web']!.spentUsd - spent) < 1e-9);
    assert.ok(Math.abs(budgets['web']!.remainingUsd - (20 - spent)) < 1e-9, 'nothing stays reserved');
  });

  it('does not send requests to the cheaper target while it has room', async (t) => {
    const budget = { usd: 1e6, per: 'day' as const, onExhausted: 'b/m' };
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget },
      { storms: { a: { faults: [{ kind: '500' }] }, b: {} }, config: { policy: { maxAttempts: 2 } } },
    );
    assert.equal((await world.ask({}, { ...WEB, 'x-breakwater-deadline-ms': '1000' })).status, 500);
    assert.equal(world.storms['b']!.stats().calls, 0);
  });

  it('added by a reload counts what an earlier process spent; off and on again it forgets nothing', async (t) => {
    const store = createMemoryStore({ clock: systemClock });
    store.put('budget', 'earlier web', { client: 'web', per: 'month', sinceMs: periodAt(systemClock.epochMs(), 'month')[0], usd: 30 });
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234' }, { store });
    const { a } = world.storms;
    const reload = async (...clients: ClientInput[]): Promise<void> => {
      const provider = { protocol: 'openai' as const, baseUrl: a!.url, apiKey: 'sk-test' };
      const input = {
        clients,
        prices: PRICES,
        server: { adminKey: 'operator-key' },
        providers: { a: provider },
        models: { fast: ['a/m'] },
      };
      const parsed = parseConfig(input, { source: 'library' });
      assert.ok(parsed.ok);
      await world.gateway.reload(parsed.config);
    };
    const budgets = async () => (await usageOf(world, 'by=client')).budgets;
    const client = { name: 'web', key: 'web-key-1234', budget: { usd: 100, per: 'month' as const } };
    await reload(client);
    assert.equal((await budgets())['web']!.spentUsd, 30);
    assert.equal((await world.ask({}, WEB)).status, 200);
    const spent = 30 + billed(world, 'a');
    await reload({ ...client, budget: undefined });
    assert.deepEqual(await budgets(), {});
    await reload(client);
    assert.ok(Math.abs((await budgets())['web']!.spentUsd - spent) < 1e-9);
    await reload({ name: 'other', key: 'other-key-1234' });
    assert.deepEqual(await budgets(), {});
  });

  it('counts nothing for requests that fail without a response', async (t) => {
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget: { usd: 100, per: 'day' } },
      { storms: { a: { faults: [{ kind: '400' } as never] }, b: {} } },
    );
    for (let i = 0; i < 5; i++) await world.ask({}, WEB);
    const { budgets } = await usageOf(world, 'by=client');
    assert.equal(budgets['web']!.remainingUsd, 100);
  });

  it('holds for streams whose caller leaves', async (t) => {
    const world = await startPaid(
      t,
      { name: 'web', key: 'web-key-1234', budget: { usd: 100, per: 'day' } },
      { storms: { a: { timing: { tokensPerSecond: 20 } }, b: {} } },
    );
    const leaving = new AbortController();
    const response = await world.post('/v1/chat/completions', chatBody({ stream: true }), { headers: WEB, signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    const { status } = await world.ask({}, WEB);
    assert.equal(status, 200);
    const { budgets } = await usageOf(world, 'by=client');
    const spent = 100 - budgets['web']!.remainingUsd;
    assert.ok(spent > 2.5 && spent < 10, `$${spent}: what was received of the first stream is charged too`);
  });
});

describe('the limits of a session', () => {
  it('end a loop of one session and let others go on', async (t) => {
    const world = await startPaid(t, { name: 'web', key: 'web-key-1234', sessionLimits: { tokens: 60 } });
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await world.ask({}, { ...WEB, 'x-session-id': 'one' })).status);
    assert.ok(statuses.includes(200) && statuses.at(-1) === 429, statuses.join());
    const last = await world.ask({}, { ...WEB, 'x-session-id': 'one' });
    assert.equal(errorOf(last.text).code, 'budget_exceeded');
    assert.equal((await world.ask({}, { ...WEB, 'x-session-id': 'two' })).status, 200);
    assert.equal((await world.ask({}, WEB)).status, 200, 'without a session');
  });
});
