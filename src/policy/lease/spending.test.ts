import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { createLedger, exchange } from './ledger.ts';
import { MERGED_MS } from './spending.ts';

const NONE = { rate: 0, poolLevel: 0, heldRate: 0, usage: [], level: 0, uncounted: 0, returned: 0, debt: 0, wantRate: 0, wantTokens: 0 };

interface Wish {
  readonly spends?: number;
  readonly wants?: number;
  readonly waits?: number;
  /** Returns what it holds beyond this. */
  readonly keeps?: number;
  readonly returns?: boolean;
  /** The ledger takes the claim, and its reply is lost. */
  readonly isLost?: boolean;
}

interface Member {
  spent: number;
  held: number;
  acknowledged: number;
  elsewhere: number;
  epoch: number;
}

/** A budget of 100, and members that report what they spend of it. */
function fleet(capacity = 100) {
  const world = { ledger: createLedger(0, capacity, 1), capacity };
  const members = new Map<string, Member>();
  const dead = new Set<string>();
  const claim = (
    now: number,
    name: string,
    { spends = 0, wants = 0, waits = 0, keeps = Infinity, returns = false, isLost = false }: Wish,
  ): LeaseGrant => {
    const own = members.get(name) ?? { spent: 0, held: 0, acknowledged: 0, elsewhere: 0, epoch: 0 };
    members.set(name, own);
    dead.delete(name);
    own.spent += spends;
    own.held = returns ? 0 : Math.min(keeps, own.held - spends);
    const sent: LeaseClaim = {
      id: 'budget',
      capacity: world.capacity,
      countedMs: 86_400_000,
      epoch: own.epoch,
      heldCapacity: own.held,
      wantCapacity: wants,
      first: waits,
      rank: 1,
      hasStarted: false,
      spending: { spent: own.spent, reserved: 0, acknowledged: own.acknowledged, elsewhere: own.elsewhere },
      ...NONE,
    };
    const granted = exchange(world.ledger, name, sent, now, (member) => !dead.has(member));
    if (isLost) return granted;
    const elsewhere = Math.max(own.epoch === 0 ? 0 : own.elsewhere, granted.elsewhere!.spent);
    Object.assign(own, { held: granted.capacity, acknowledged: sent.spending!.spent, epoch: granted.epoch, elsewhere });
    return granted;
  };
  const counted = (): number => [...world.ledger.parts.values()].reduce((sum, { spent }) => sum + spent, world.ledger.gone);
  const truth = (): number => [...members.values()].reduce((sum, { spent }) => sum + spent, 0);
  return { world, members, dead, claim, counted, truth };
}

describe('the ledger of a budget', () => {
  it('grants what is not spent, and spent money does not return', () => {
    const { claim } = fleet();
    assert.equal(claim(0, 'a', { wants: 60, waits: 60 }).capacity, 60);
    assert.equal(claim(1, 'a', { spends: 60 }).capacity, 0);
    const { capacity, elsewhere } = claim(2, 'b', { wants: 60, waits: 60 });
    assert.deepEqual([capacity, elsewhere], [40, { spent: 60, held: 0, lost: 0 }]);
  });

  it('counts a claim that is repeated, or whose reply is lost, once', () => {
    const { claim, counted } = fleet();
    claim(0, 'a', { wants: 10 });
    for (let i = 1; i <= 5; i++) claim(i, 'a', { spends: 1, isLost: true });
    claim(6, 'a', {});
    claim(7, 'a', {});
    assert.equal(counted(), 5);
  });

  it('counts the slice of a dead member as spent, what it spent as well, and leaves the rest to the others', () => {
    const { claim, dead } = fleet();
    claim(0, 'a', { wants: 30 });
    claim(1, 'a', { spends: 20, wants: 10 });
    dead.add('a');
    const { capacity, elsewhere } = claim(6_000, 'b', { wants: 100, waits: 1 });
    assert.deepEqual([capacity, elsewhere], [70, { spent: 20, held: 0, lost: 10 }]);
  });

  it('gives back the slice of a member that leaves, and keeps what it spent', () => {
    const { claim, dead } = fleet();
    claim(0, 'a', { wants: 30 });
    claim(1, 'a', { spends: 20, returns: true });
    dead.add('a');
    assert.equal(claim(2, 'b', { wants: 100, waits: 1 }).capacity, 80);
  });

  it('merges the parts of members that ended an hour ago, and forgets those that spent and held nothing', () => {
    const { claim, dead, world } = fleet();
    for (let i = 0; i < 50; i++) {
      claim(i, `idle ${i}`, {});
      dead.add(`idle ${i}`);
      claim(i, `short-lived ${i}`, { wants: 1 });
      dead.add(`short-lived ${i}`);
    }
    claim(1_000, 'a', {});
    assert.equal(world.ledger.parts.size, 51);
    assert.equal(claim(MERGED_MS + 1_000, 'a', { wants: 100, waits: 1 }).capacity, 50);
    assert.deepEqual([world.ledger.parts.size, world.ledger.gone], [1, 50]);
  });

  for (const [when, awayMs] of [
    ['', 20_000],
    [', even after its part was merged', 2 * MERGED_MS],
  ] as const) {
    it(`counts a member that was taken for dead and is back once${when}`, () => {
      const { claim, dead, counted, truth } = fleet();
      claim(0, 'frozen', { wants: 10 });
      claim(1, 'frozen', { spends: 4, wants: 6 });
      claim(2, 'a', { wants: 10 });
      dead.add('frozen');
      claim(awayMs, 'a', { spends: 3, wants: 7 });
      claim(awayMs + 1, 'frozen', { spends: 5, wants: 1 });
      claim(awayMs + 2, 'frozen', {});
      const unspent = awayMs > MERGED_MS ? 6 : 0; // its slice went with its part
      assert.deepEqual([truth(), counted()], [12, 12 + unspent]);
    });
  }

  it('serves whole requests in order where even shares would be too small for any, whatever dead members hold', () => {
    const { claim, dead } = fleet();
    claim(0, 'dead', { wants: 60 });
    dead.add('dead');
    const names = ['a', 'b', 'c', 'd'];
    names.forEach((name, i) => claim(i + 1, name, { wants: 10 }));
    // Each of them needs 15 of the 40 that are left.
    for (let round = 1; round <= 3; round++) {
      names.forEach((name, i) => {
        const { fairCapacity } = claim(100 * round + i, name, { wants: 15, waits: 15 });
        if (round > 1) claim(100 * round + i, name, { wants: 15, waits: 15, keeps: fairCapacity });
      });
    }
    const held = names.map((name, i) => claim(1_000 + i, name, { wants: 15, waits: 15 }).capacity);
    assert.deepEqual(held, [15, 15, 10, 0]);
  });

  it('is restored from the claims of its members when it was lost, in any order', () => {
    for (const order of [
      ['a', 'b'],
      ['b', 'a'],
      ['new', 'b', 'a'],
    ]) {
      const { claim, dead, world, counted } = fleet();
      claim(0, 'gone', { wants: 20 });
      claim(1, 'gone', { spends: 20, returns: true });
      dead.add('gone');
      claim(2, 'a', { wants: 10 });
      claim(3, 'b', { wants: 10 });
      claim(4, 'a', { spends: 5, wants: 5 });
      claim(5, 'b', { spends: 7, wants: 3 });
      claim(6, 'a', { wants: 5 });
      world.ledger = createLedger(100, 100, 100);
      for (const [i, name] of order.entries()) claim(100 + i, name, { spends: name === 'new' ? 0 : 1, wants: 2 });
      assert.equal(counted(), 34, order.join());
    }
  });

  it('that is new begins with what its first member has read elsewhere, and takes nothing from later ones', () => {
    const { claim, members, counted } = fleet();
    for (const [name, elsewhere] of [
      ['a', 30],
      ['b', 35],
    ] as const) {
      members.set(name, { spent: 0, held: 0, acknowledged: 0, elsewhere, epoch: 0 });
      claim(0, name, {});
    }
    assert.equal(counted(), 30);
  });

  it('follows a changed amount at once', () => {
    const { claim, world } = fleet();
    claim(0, 'a', { wants: 100, waits: 1 });
    claim(1, 'a', { spends: 50, wants: 50 });
    world.capacity = 40;
    assert.equal(claim(2, 'a', { wants: 50, waits: 1 }).capacity, 0);
    world.capacity = 200;
    assert.equal(claim(3, 'a', { wants: 500, waits: 1 }).capacity, 150);
  });

  it('in 300 random histories counts nothing twice, forgets nothing, and never grants more than is left', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = createSeededRandom(seed);
      const { claim, dead, members, world, counted, truth } = fleet();
      let [now, slices] = [0, 0];
      const chance = (share: number): boolean => random.next() < share;
      for (let i = 0; i < 200; i++) {
        now += chance(0.01) ? 2 * MERGED_MS : random.next() * 1_000;
        const name = `m${Math.floor(random.next() * 5)}`;
        const held = members.get(name)?.held ?? 0;
        if (dead.has(name) && chance(0.7)) continue;
        claim(now, name, { spends: held * random.next() * 0.5, wants: 3 * random.next(), waits: chance(0.3) ? 2 : 0, isLost: chance(0.1) });
        const capacities = [...world.ledger.parts.values()].reduce((sum, { capacity }) => sum + capacity, 0);
        assert.ok(counted() + capacities <= 100 + 1e-6, `seed ${seed}: ${counted()} + ${capacities}`);
        if (!chance(0.1)) continue;
        dead.add(name);
        slices += world.ledger.parts.get(name)!.capacity;
      }
      for (const name of members.keys()) claim(now, name, {});
      assert.ok(counted() >= truth() - 1e-9, `seed ${seed}: ${counted()} of ${truth()}`);
      assert.ok(counted() <= truth() + slices + 1e-9, `seed ${seed}: ${counted()} of ${truth()}, slices ${slices}`);
    }
  });
});
