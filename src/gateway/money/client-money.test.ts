import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Permit } from '../../core/permit.ts';
import type { Leasable } from '../../core/lease.ts';
import type { Need } from '../../core/resource.ts';
import { periodAt, type MoneyBudget } from '../../policy/budget/money-budget.ts';
import { createMemoryStore } from '../../store/memory/memory-store.ts';
import { createFaultyDisk, openFaultyStore } from '../../testing/faulty-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import type { ClientConfig } from '../config/index.ts';
import { ClientMoney } from './client-money.ts';

const DAY = 86_400_000;

const client = (
  name: string,
  budget: Partial<NonNullable<ClientConfig['budget']>> | null,
  more: Partial<ClientConfig> = {},
): ClientConfig => ({
  name,
  key: null,
  keyHash: `sha256:${'0'.repeat(64)}`,
  priority: 'normal',
  maxPriority: 'normal',
  models: null,
  limits: { burst: 1, window: 'bucket' },
  budget: budget === null ? null : { usd: 10, per: 'day', onExhausted: null, ...budget },
  sessionLimits: null,
  ...more,
});

function stage(store = createMemoryStore({ clock: createManualClock() }), clock = createManualClock()) {
  const money = new ClientMoney(store, clock, 'p1');
  /** As a reload does: everything is built, then takes effect. */
  const apply = (...clients: readonly ClientConfig[]): (MoneyBudget | null)[] => {
    const budgets = clients.map((one) => money.budgetOf(one));
    clients.forEach((one) => money.sessionsOf(one));
    money.showOnly(clients);
    return budgets;
  };
  const spend = (budget: MoneyBudget, usd: number): void => {
    const need: Need = { requests: 1, inputTokens: 1, outputTokens: 1, usd };
    Permit.reserve(clock.now(), need, [budget]).settle(clock.now(), { usage: null, usd, health: 'neutral' });
  };
  return { store, clock, money, apply, spend };
}

const spentOf = (money: ClientMoney): Record<string, number> =>
  Object.fromEntries([...money.status()].map(([name, { spentUsd }]) => [name, spentUsd]));

describe('the money of clients', () => {
  it('keeps what was spent until a day after the end of its period', async () => {
    for (const [per, keptMs] of [
      ['hour', 25 * 3_600_000],
      ['day', 2 * DAY],
    ] as const) {
      const clock = createManualClock();
      const store = createMemoryStore({ clock });
      const { money, apply, spend } = stage(store, clock);
      const [web] = apply(client('web', { per }));
      const sinceMs = periodAt(clock.epochMs(), per)[0];
      spend(web!, 1);
      money.save();
      clock.advance(sinceMs + keptMs - 1 - clock.epochMs());
      assert.equal((await store.getAll('budget')).size, 1);
      clock.advance(2);
      assert.equal((await store.getAll('budget')).size, 0);
    }
  });

  it('shows the budgets of the config in effect only', () => {
    const { money, apply, spend } = stage();
    const [web, bot] = apply(client('web', {}), client('bot', {}), client('free', null));
    spend(web!, 1);
    spend(bot!, 2);
    assert.deepEqual(spentOf(money), { web: 1, bot: 2 });
    apply(client('web', {}));
    assert.deepEqual(spentOf(money), { web: 1 });
    assert.deepEqual(
      money.levels().map(({ id, limit, available }) => [id, limit, available]),
      [['client web:budget', 10, 9]],
    );
    assert.equal(money.levels()[0]!.period!.overrunUsd, 0);
    spend(web!, 11);
    assert.equal(money.levels()[0]!.period!.overrunUsd, 2);
  });

  it('remembers what was spent while a budget was off, or its client removed', async () => {
    for (const between of [[client('web', null)], []]) {
      const { store, money, apply, spend } = stage();
      const [budget] = apply(client('web', {}));
      spend(budget!, 4);
      money.save();
      apply(...between);
      money.save();
      assert.equal(apply(client('web', { usd: 5 }))[0], budget);
      money.save();
      assert.deepEqual(spentOf(money), { web: 4 });
      assert.deepEqual(
        [...(await store.getAll('budget')).values()].map((record) => (record as { usd: number }).usd),
        [4],
      );
    }
  });

  it('saves what requests that ran when their budget was turned off have cost', async () => {
    const { store, clock, money, apply } = stage();
    const [budget] = apply(client('web', {}));
    const need: Need = { requests: 1, inputTokens: 1, outputTokens: 1, usd: 3 };
    const running = Permit.reserve(clock.now(), need, [budget!]);
    apply(client('web', null));
    running.settle(clock.now(), { usage: null, usd: 2, health: 'neutral' });
    money.save();
    assert.equal(([...(await store.getAll('budget')).values()][0] as { usd: number }).usd, 2);
    apply(client('web', {}));
    assert.deepEqual(spentOf(money), { web: 2 });
  });

  it('has a share in the fleet for the budgets of the config in effect, and for those that were used', () => {
    const clock = createManualClock();
    const shares: string[] = [];
    const fleet = {
      add: ({ id }: Leasable): void => void shares.push(id),
      remove: (id: string): void => void shares.splice(shares.indexOf(id), 1),
      short: (): void => {},
      isCurrent: () => true,
    };
    const money = new ClientMoney(createMemoryStore({ clock }), clock, 'p1', fleet);
    const [web, bot] = [client('web', {}), client('bot', {})];
    for (const one of [web, bot]) money.budgetOf(one);
    assert.deepEqual(shares, [], 'the config may be refused');
    money.showOnly([web, bot]);
    money.showOnly([web, bot]);
    assert.deepEqual(shares, ['client web:budget', 'client bot:budget']);
    const need: Need = { requests: 1, inputTokens: 1, outputTokens: 1, usd: 1 };
    Permit.reserve(clock.now(), need, [money.budgetOf(web)!]).settle(clock.now(), { usage: null, usd: 1, health: 'neutral' });
    money.showOnly([]);
    assert.deepEqual(shares, ['client web:budget'], 'its spending is still reported');
  });

  it('holds no removed budget beyond the period in which it was used', () => {
    const { clock, apply, spend } = stage();
    const [budget] = apply(client('web', {}));
    spend(budget!, 1);
    apply();
    clock.advance(DAY);
    apply();
    assert.notEqual(apply(client('web', {}))[0], budget);
  });

  it('changes nothing before a new config takes effect', () => {
    const { money, apply, spend } = stage();
    const bounds = { requestsPerMinute: 2, tokens: Infinity, usd: Infinity };
    const web = client('web', { usd: 10 }, { sessionLimits: bounds });
    const [budget] = apply(web);
    spend(budget!, 4);
    // A reload that is refused builds its clients, and no more.
    const next = client('web', { usd: 1, per: 'month' }, { sessionLimits: { ...bounds, requestsPerMinute: 1 } });
    money.budgetOf(next);
    money.budgetOf(client('new', {}));
    const sessions = money.sessionsOf(next)!;
    assert.deepEqual([budget!.usd, budget!.per, spentOf(money)], [10, 'day', { web: 4 }]);
    assert.deepEqual([sessions.admit(0, 'a'), sessions.admit(0, 'a')], [null, null]);
    apply(next);
    assert.deepEqual([budget!.usd, budget!.per], [1, 'month']);
    assert.equal(sessions.admit(0, 'b'), null);
    assert.equal(sessions.admit(0, 'b')?.limit, 'requestsPerMinute');
  });

  it('drops the sessions of removed clients, and of no others', () => {
    const { money, apply } = stage();
    const sessionLimits = { requestsPerMinute: 1, tokens: Infinity, usd: Infinity };
    const [web, bot] = [client('web', null, { sessionLimits }), client('bot', null, { sessionLimits })];
    apply(web, bot);
    const [before, removed] = [money.sessionsOf(web), money.sessionsOf(bot)];
    apply(client('web', null));
    apply(web, bot);
    assert.equal(money.sessionsOf(web), before, 'off and on again');
    assert.notEqual(money.sessionsOf(bot), removed);
  });

  it('counts what earlier processes have spent for a budget that a reload adds', async () => {
    const earlier = stage();
    const [before] = earlier.apply(client('web', {}));
    earlier.spend(before!, 7);
    earlier.money.save();
    const money = new ClientMoney(earlier.store, earlier.clock, 'p2');
    await money.load();
    money.budgetOf(client('web', {}));
    money.showOnly([client('web', {})]);
    await money.load();
    assert.deepEqual(spentOf(money), { web: 7 });
    assert.equal(money.status().get('web')!.remainingUsd, 3);
  });

  it('counts other processes again when the store recovers, and never less than before', async () => {
    const clock = createManualClock();
    const disk = createFaultyDisk({ clock, random: createSeededRandom(1) });
    const store = await openFaultyStore({ clock, disk });
    const other = stage(store, clock);
    const [theirs] = other.apply(client('web', {}));
    const ours = new ClientMoney(store, clock, 'p2');
    ours.budgetOf(client('web', {}));
    ours.showOnly([client('web', {})]);
    ours.start();
    other.spend(theirs!, 2);
    other.money.save();
    await store.flush();
    await ours.load();
    assert.deepEqual(spentOf(ours), { web: 2 });
    disk.setFaults({ refuse: 'unavailable' });
    disk.cut();
    other.spend(theirs!, 3);
    other.money.save();
    await clock.advanceAsync(1_000);
    await ours.load();
    assert.equal(spentOf(ours)['web']! >= 2, true);
    disk.heal();
    await clock.advanceAsync(60_000);
    assert.deepEqual(spentOf(ours), { web: 5 });
    ours.stop();
    await store.close();
  });

  it('reads nothing into a budget from records of another period, another client or another shape', async () => {
    const { store, clock, money, apply } = stage();
    const sinceMs = Math.floor(clock.epochMs() / DAY) * DAY;
    const record = { client: 'web', per: 'day', sinceMs, usd: 1 };
    const records = [
      record,
      { ...record, usd: 0.5 },
      { ...record, sinceMs: sinceMs - DAY },
      { ...record, per: 'month' },
      { ...record, client: 'bot' },
      { ...record, usd: -3 },
      { ...record, usd: '3' },
      null,
      'text',
    ];
    records.forEach((value, index) => store.put('budget', `other${index} web`, value));
    apply(client('web', {}));
    await money.load();
    assert.deepEqual(spentOf(money), { web: 1.5 });
  });
});
