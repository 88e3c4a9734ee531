import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Permit } from '../../core/permit.ts';
import { testResourceContract } from '../../core/resource.contract.ts';
import { WHEN_SETTLED, type Need, type Resource } from '../../core/resource.ts';
import { createLedger, exchange, type Ledger } from '../lease/ledger.ts';
import { applicant, capacity, Driver } from '../scheduler/scheduler.fixture.ts';
import { LeasedBudget } from './leased-budget.ts';
import type { BudgetPeriod } from './money-budget.ts';

const NOON = Date.UTC(2026, 10, 30, 12);
const HOUR = 3_600_000;
const need = (usd: number): Need => ({ requests: 1, inputTokens: 10, outputTokens: 10, usd });
const settled = (usd: number) => ({ usage: null, usd, health: 'neutral' as const });
const near = (value: number, expected: number, what?: string): void =>
  assert.ok(Math.abs(value - expected) < 1e-6, `${what ?? ''} ${value} instead of ${expected}`);

interface Member {
  readonly budget: LeasedBudget;
  readonly asked: () => number;
  /** Exchanges once; false: it has nothing to claim. */
  readonly sync: (now: number, isCalled?: boolean) => boolean;
  readonly leave: (now: number) => void;
}

/** Instances and the ledgers that they share. */
function fleet(usd = 10, per: BudgetPeriod = 'day') {
  const ledgers = new Map<string, Ledger>();
  const live = new Set<string>();
  const join = (name: string, at = 0): Member => {
    live.add(name);
    let asked = 0;
    const budget = new LeasedBudget({ id: 'client web:budget', usd, per, toEpochMs: (now) => NOON + now }, at, () => void asked++);
    const grantFor = (now: number, claim: NonNullable<ReturnType<LeasedBudget['claim']>>) => {
      const ledger = ledgers.get(claim.id) ?? createLedger(now, claim.capacity, now + 1);
      ledgers.set(claim.id, ledger);
      return exchange(ledger, name, claim, now, (other) => live.has(other));
    };
    return {
      budget,
      asked: () => asked,
      sync(now, isCalled = false) {
        live.add(name);
        const claim = budget.claim(now, live.size, isCalled);
        if (claim === null) return false;
        budget.granted(now, grantFor(now, claim));
        return true;
      },
      leave(now) {
        grantFor(now, budget.leave(now));
        live.delete(name);
      },
    };
  };
  return { join, live, ledgers };
}

/** Starts a request, after an exchange if it needs one. */
function start(member: Member, now: number, usd: number): Permit {
  if (member.budget.earliest(now, need(usd)) !== now) member.sync(now);
  assert.equal(member.budget.earliest(now, need(usd)), now);
  return Permit.reserve(now, need(usd), [member.budget]);
}

testResourceContract('a leased budget', () => fleet().join('a').budget);

describe('a share of a budget', () => {
  it('starts empty, is fetched by the first request, and is a small part of the budget even if nothing shares it', () => {
    const { budget, asked, sync } = fleet(10).join('a');
    assert.equal(budget.earliest(0, need(0.01)), 50);
    assert.equal(asked(), 1);
    sync(0);
    assert.equal(budget.earliest(0, need(0.01)), 0);
    budget.reserve(0, need(0.01));
    assert.equal(budget.earliest(0, need(1)), 50);
    near(budget.remainingUsd(0), 9.99);
  });

  it('that runs short grows with each exchange, so that a burst takes few of them', () => {
    const member = fleet(100).join('a');
    let [exchanges, started] = [0, 0];
    while (started < 1_000) {
      while (member.budget.earliest(exchanges * 25, need(0.01)) > exchanges * 25) {
        exchanges++;
        member.sync(exchanges * 25);
        assert.ok(member.budget.isSupplied);
      }
      member.budget.reserve(exchanges * 25, need(0.01));
      started++;
    }
    assert.ok(exchanges <= 8, `${exchanges}`);
  });

  it('shrinks when it is not used; an idle instance keeps one to two requests’ worth until another one is short', () => {
    const { join, ledgers } = fleet(100);
    const member = join('a');
    const other = join('b');
    for (let i = 0; i < 50; i++) start(member, i * 100, 0.1).settle(i * 100, settled(0.1));
    let now = 5_000;
    while (member.sync(now) && now < 60_000) now += 1_000;
    assert.ok(now < 60_000, 'an idle budget needs no exchange');
    const held = (): number => [...ledgers.values()][0]!.parts.get('a')!.capacity / 1e6;
    assert.ok(held() >= 0.1 && held() <= 0.2, `${held()}`);
    assert.equal(member.budget.earliest(now, need(0.1)), now, 'the next request starts at once');
    member.sync(now, true);
    near(held(), 0);
    start(other, now, 94);
  });

  it('waits for what others hold, and refuses until the next period once it is spent', () => {
    const { join } = fleet(1);
    const [first, second] = [join('a'), join('b')];
    const permits = Array.from({ length: 10 }, () => start(first, 0, 0.1));
    assert.equal(second.budget.earliest(0, need(0.1)), 50);
    second.sync(10);
    assert.equal(second.budget.earliest(20, need(0.1)), 70, 'they may turn out cheaper');
    permits[0]!.settle(30, settled(0));
    for (const permit of permits.slice(1)) permit.settle(30, settled(0.1));
    for (const now of [40, 50]) {
      first.sync(now, true);
      second.sync(now);
    }
    assert.equal(second.budget.earliest(50, need(0.1)), 50, 'one was not charged');
    second.budget.reserve(50, need(0.1));
    second.budget.settle(60, 0, need(0.1), settled(0.1));
    second.sync(70);
    first.sync(1_000);
    for (const { budget } of [first, second]) {
      assert.equal(budget.earliest(1_000, need(0.1)), 12 * HOUR);
      near(budget.spentUsd(1_000), 1);
    }
    assert.equal(first.budget.earliest(1_000, need(1.5)), Infinity);
  });

  it('waits for its own running requests where nothing else can return money', () => {
    const { budget, sync } = fleet(0.3).join('a');
    for (let i = 0; i < 3; i++) {
      if (budget.earliest(i, need(0.1)) > i) sync(i);
      budget.reserve(i, need(0.1));
    }
    budget.earliest(5, need(0.1));
    sync(5);
    assert.equal(budget.earliest(10, need(0.1)), WHEN_SETTLED);
  });

  it('is over, for a client with a cheaper target, only if neither it nor the ledger has enough', () => {
    const { join } = fleet(1);
    const [first, second] = [join('a'), join('b')];
    assert.equal(second.budget.isOver(0, need(0.1)), false, 'it is only not fetched yet');
    for (let i = 0; i < 10; i++) start(first, 0, 0.1);
    first.sync(1_000);
    second.budget.earliest(1_000, need(0.1));
    second.sync(1_000);
    assert.equal(second.budget.isOver(1_000, need(0.1)), true, 'the other holds all of it');
    assert.equal(second.budget.isOver(1_000, need(0)), false);
  });

  it('returns whole when its instance leaves, and only what it spent stays counted', () => {
    const { join } = fleet(10);
    const [first, second] = [join('a'), join('b')];
    start(first, 0, 1).settle(10, settled(0.75));
    first.leave(20);
    second.budget.earliest(30, need(9.25));
    second.sync(30);
    assert.equal(second.budget.earliest(30, need(9.25)), 30);
    near(second.budget.spentUsd(30), 0.75);
  });

  it('counts as spent when its instance is killed, until it is back', () => {
    const { join, live } = fleet(10);
    const [first, second] = [join('a'), join('b')];
    start(first, 0, 4);
    live.delete('a');
    second.budget.earliest(6_000, need(9));
    second.sync(6_000);
    near(second.budget.spentUsd(6_000), 4 + heldBeyond(4));
    assert.equal(second.budget.earliest(6_000, need(6.5)), 12 * HOUR);
    first.budget.settle(10_000, 0, need(4), settled(1));
    first.sync(10_000);
    second.sync(12_000);
    near(second.budget.spentUsd(12_000), 1);
  });

  it('that follows a lower or higher amount does so at once, and keeps what was spent', () => {
    const member = fleet(10).join('a');
    start(member, 0, 2).settle(0, settled(2));
    member.budget.configure(2.5, 'day');
    assert.equal(member.budget.earliest(10, need(1)), 12 * HOUR);
    member.budget.configure(20, 'day');
    start(member, 20, 15);
    near(member.budget.spentUsd(20), 2);
    near(member.budget.remainingUsd(20), 3);
  });
});

/** What a first grant leaves beside a running request of this cost. */
function heldBeyond(usd: number): number {
  const { join, ledgers } = fleet(10);
  join('b');
  start(join('a'), 0, usd);
  return [...ledgers.values()][0]!.parts.get('a')!.capacity / 1e6 - usd;
}

describe('without the store, a share of a budget', () => {
  it('is what was left, divided by the members, and is not renewed while the store is away', () => {
    const { join } = fleet(9);
    const [first, second] = [join('a'), join('b')];
    start(second, 0, 1).settle(0, settled(1));
    second.sync(0);
    first.budget.earliest(10, need(0.1));
    first.sync(10);
    first.budget.detach(20, 4);
    near(freeUsd(first.budget, 20), 2);
    first.budget.reserve(20, need(1.5));
    first.budget.settle(20, 0, need(1.5), settled(1.5));
    first.budget.claim(1_000, 4);
    first.budget.detach(1_020, 4);
    near(freeUsd(first.budget, 1_020), 0.5);
    assert.equal(first.budget.earliest(1_020, need(0.75)), 1_070, 'the store may be back');
    assert.equal(first.budget.isOver(1_020, need(0.75)), true);
    first.sync(2_000);
    second.sync(60_010);
    near(second.budget.spentUsd(60_010), 2.5);
  });

  it('also applies for five seconds after the store is back, until the others have reported', () => {
    const { join } = fleet(8);
    const [first, second] = [join('a'), join('b')];
    first.sync(0);
    for (const { budget } of [first, second]) budget.detach(10, 2);
    for (const { budget } of [first, second]) {
      near(freeUsd(budget, 20), 4);
      budget.reserve(20, need(4));
      budget.settle(20, 0, need(4), settled(4));
    }
    first.budget.earliest(30, need(0.1));
    first.sync(30);
    assert.equal(first.budget.earliest(40, need(0.1)), 90, 'it does not get what the other has spent');
    second.sync(3_000);
    first.sync(3_010);
    assert.equal(first.budget.earliest(3_020, need(0.1)), 12 * HOUR);
    first.budget.configure(9, 'day');
    first.budget.earliest(5_050, need(0.1));
    first.sync(5_050);
    assert.equal(first.budget.earliest(5_050, need(0.1)), 5_050);
  });

  it('is a part of the whole for an instance that never saw it, and in each further period', () => {
    const { budget } = fleet(8, 'hour').join('a');
    budget.detach(0, 4);
    near(freeUsd(budget, 0), 2);
    budget.reserve(0, need(2));
    budget.settle(0, 0, need(2), settled(2));
    assert.equal(budget.earliest(0, need(0.1)), 50);
    near(freeUsd(budget, HOUR), 2);
  });
});

function freeUsd(budget: LeasedBudget, now: number): number {
  let [low, high] = [0, budget.usd];
  for (let i = 0; i < 40; i++) {
    const usd = (low + high) / 2;
    if (budget.earliest(now, need(usd)) === now) low = usd;
    else high = usd;
  }
  return low;
}

describe('a new period of a shared budget', () => {
  it('has a ledger of its own; a grant for the previous one adds nothing, and running requests stay reserved', () => {
    const { join, ledgers } = fleet(1, 'hour');
    const member = join('a');
    const permit = start(member, HOUR - 20, 0.5);
    const claim = member.budget.claim(HOUR - 10, 1)!;
    const granted = exchange(ledgers.get(claim.id)!, 'a', claim, HOUR - 10, () => true);
    assert.equal(member.budget.granted(HOUR, granted), false);
    assert.equal(member.budget.earliest(HOUR, need(0.5)), HOUR + 50);
    member.sync(HOUR + 10);
    assert.equal(member.budget.earliest(HOUR + 10, need(0.5)), HOUR + 10);
    permit.settle(HOUR + 20, settled(0.25));
    near(member.budget.spentUsd(HOUR + 20), 0.25);
    assert.deepEqual([...ledgers.keys()], [`client web:budget@hour:${NOON}`, `client web:budget@hour:${NOON + HOUR}`]);
  });
});

describe('requests that leave the queue of a shared budget', () => {
  it('reserve nothing, and what they asked for is returned', () => {
    const { join, ledgers } = fleet(1);
    const member = join('a');
    const driver = new Driver();
    const own: readonly Resource[] = [member.budget];
    const waiting = [1, 2, 3].map((i) => ({
      ...applicant(`r${i}`, [[capacity('p/m')]], { own, deadline: 5_000 }),
      needOn: () => need(0.2),
    }));
    driver.submit(...waiting);
    assert.deepEqual(driver.names, []);
    for (const each of waiting.slice(1)) assert.ok(driver.scheduler.cancel(0, each));
    member.sync(0);
    driver.advanceTo(100);
    assert.deepEqual(driver.names, ['r1']);
    near(member.budget.reservedUsd, 0.2);
    driver.running.get('r1')!.clientPermit!.cancel(driver.now);
    near(member.budget.reservedUsd, 0);
    for (let now = 1_000; now < 60_000; now += 1_000) member.sync(now);
    near([...ledgers.values()][0]!.parts.get('a')!.capacity / 1e6, 0, 'its slice is too small for two such requests');
  });

  it('end their wait at their deadline', () => {
    const { join } = fleet(1);
    const [first, second] = [join('a'), join('b')];
    start(first, 0, 1);
    const driver = new Driver();
    driver.submit({ ...applicant('r', [[capacity('p/m')]], { own: [second.budget], deadline: 2_000 }), needOn: () => need(0.2) });
    second.sync(10);
    driver.advanceTo(3_000);
    assert.deepEqual([driver.names.length, driver.refused.length, driver.refused[0]?.at], [0, 1, 2_000]);
    near(second.budget.reservedUsd, 0);
  });
});
