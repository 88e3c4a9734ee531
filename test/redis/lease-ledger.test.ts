/** The script of the Redis driver and the ledger in TypeScript are the same arithmetic. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { LeaseClaim, LeaseGrant } from '../../src/core/lease.ts';
import { createLedger, exchange, type Ledger } from '../../src/policy/lease/ledger.ts';
import { MERGED_MS } from '../../src/policy/lease/spending.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { EXCHANGE_SCRIPT } from '../../src/store/redis/lease-script.ts';
import { connectRedis } from '../../src/store/redis/redis-client.ts';
import { toArguments, toGrant } from '../../src/store/redis/redis-shared.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };
const DAY_MS = 86_400_000;
const NONE = { rate: 0, usage: [], poolLevel: 0, heldRate: 0, level: 0, uncounted: 0, returned: 0, debt: 0, wantRate: 0, wantTokens: 0 };

/** A server, and one exchange of one claim on it; null: the member has left. */
async function open(t: TestContext) {
  const server = await startRedis();
  t.after(() => server.stop());
  const client = await connectRedis({ address: parseRedisUrl(server.url), connectTimeoutMs: 2_000, onLost: () => {} });
  t.after(() => client.destroy());
  const key = (id: string): string => `{t}:lease:${id}`;
  const exchangeOn = async (me: string, claim: LeaseClaim, now: number, leaves = false, silenceMs = 1e9): Promise<LeaseGrant | null> => {
    const keys = ['{t}:members', key(claim.id)];
    const args = [me, silenceMs, now, 'c', leaves ? '1' : '0', ...toArguments(claim)];
    const [, grants] = (await client.run(EXCHANGE_SCRIPT, keys, args)) as [string[], string[]];
    return grants[0] === undefined ? null : toGrant(grants[0]);
  };
  return { client, key, exchangeOn };
}

function assertSame(granted: object, expected: object, at: string): void {
  assert.deepEqual(Object.keys(granted).sort(), Object.keys(expected).sort(), at);
  for (const [field, value] of Object.entries(expected)) {
    const got = (granted as Record<string, unknown>)[field];
    if (typeof value === 'object') assertSame(got as object, value as object, `${at} ${field}`);
    else if (typeof value === 'number')
      assert.ok(Math.abs(value - Number(got)) < 1e-6 * Math.max(1, Math.abs(value)), `${at} ${field}: ${value} ${String(got)}`);
    else assert.equal(got, value, `${at} ${field}`);
  }
}

void test('script and ledger grant the same in 2,000 random exchanges, with a clock that goes back now and then', options, async (t) => {
  const { exchangeOn } = await open(t);
  const random = createSeededRandom(7);
  const names = ['a', 'b', 'c', 'd'];
  const terms = [
    { id: 'bucket', capacity: 600, rate: 0.01 },
    { id: 'small', capacity: 3, rate: 0.00005 },
    { id: 'window', capacity: 100, rate: 0, countedMs: 5_000 },
    { id: 'places', capacity: 10, rate: 0 },
    { id: 'day', capacity: 1_000, rate: 1_000 / DAY_MS },
    { id: 'small day', capacity: 5, rate: 5 / DAY_MS },
    { id: 'window of a day', capacity: 1_000, rate: 0, countedMs: DAY_MS },
  ];
  const ledgers = new Map<string, Ledger>();
  const seen = new Map<string, number>();
  const held = new Map<string, { capacity: number; rate: number; level: number; epoch: number; poolLevel: number }>();
  let now = 1_000_000;
  for (let i = 0; i < 2_000; i++) {
    now += Math.floor(random.next() * 400) - (random.next() < 0.02 ? 5_000 : 0);
    const me = names[Math.floor(random.next() * names.length)]!;
    const { id, capacity, rate, countedMs = 0 } = terms[Math.floor(random.next() * terms.length)]!;
    const own = held.get(`${me} ${id}`) ?? { capacity: 0, rate: 0, level: 0, epoch: 0, poolLevel: 0 };
    const isShort = random.next() < 0.5;
    const returned = random.next() < 0.2 ? own.level / 2 : 0;
    const claim: LeaseClaim = {
      id,
      capacity,
      rate,
      countedMs,
      epoch: own.epoch,
      poolLevel: own.poolLevel,
      heldCapacity: own.capacity * (random.next() < 0.3 ? 0.5 : 1),
      heldRate: own.rate * (random.next() < 0.3 ? 0.5 : 1),
      // Of a limit in slices, what was used of a loan is below zero.
      level: own.level - returned - (id.includes('day') && random.next() < 0.1 ? own.level + 3 : 0),
      uncounted: rate > 0 && random.next() < 0.5 ? 0.1 * capacity * random.next() : 0,
      returned,
      debt: random.next() < 0.05 ? 10 * random.next() : 0,
      wantCapacity: capacity * random.next(),
      wantRate: isShort ? rate : rate * random.next(),
      wantTokens: rate > 0 ? capacity * random.next() : 0,
      first: isShort ? Math.ceil(capacity * 0.1 * random.next()) : 0,
      rank: Math.floor(random.next() * 3),
      hasStarted: random.next() < 0.5,
      usage: [],
    };
    const ledger = ledgers.get(id) ?? createLedger(now, capacity, now);
    ledgers.set(id, ledger);
    seen.set(me, now);
    const expected = exchange(ledger, me, claim, now, (name) => now - seen.get(name)! <= 1e9);
    assertSame((await exchangeOn(me, claim, now))!, expected, `${i}`);
    const level = claim.level + expected.tokens;
    held.set(`${me} ${id}`, {
      capacity: expected.capacity,
      rate: expected.rate,
      level,
      epoch: expected.epoch,
      poolLevel: expected.poolLevel,
    });
    let [capacities, rates] = [0, 0];
    for (const part of ledger.parts.values()) [capacities, rates] = [capacities + part.capacity, rates + part.rate];
    assert.ok(capacities <= capacity * (1 + 1e-9), `capacities ${capacities}`);
    assert.ok(rates <= rate * (1 + 1e-9) + 1e-12, `rates ${rates}`);
  }
});

void test('the same in 1,000 exchanges of a window whose members die, come back and leave', options, async (t) => {
  const { exchangeOn } = await open(t);
  const random = createSeededRandom(13);
  const [silenceMs, countedMs, capacity] = [3_000, 10_000, 100];
  const ledger = createLedger(0, capacity, 1_000_000);
  const seen = new Map<string, number>();
  const held = new Map<string, number>();
  let now = 1_000_000;
  for (let i = 0; i < 1_000; i++) {
    now += Math.floor(random.next() * 300);
    // Each of six members is quiet most of the time.
    const me = `m${Math.floor(random.next() * 3) + 3 * (Math.floor(now / 8_000) % 2)}`;
    const mine = held.get(me) ?? 0;
    const used = mine * random.next();
    const usage = Array.from({ length: 10 }, () => used / 10);
    const leaves = random.next() < 0.03;
    const wanted = { wantCapacity: leaves ? 0 : capacity * random.next(), first: leaves || random.next() < 0.5 ? 0 : 5 * random.next() };
    const claim: LeaseClaim = {
      ...NONE,
      id: 'window',
      capacity,
      countedMs,
      epoch: 0,
      heldCapacity: leaves ? used : mine,
      rank: 1,
      hasStarted: random.next() < 0.5,
      usage: random.next() < 0.8 ? usage : [],
      ...wanted,
    };
    seen.set(me, now);
    for (const [name, at] of seen) if (now - at > silenceMs) seen.delete(name);
    const expected = exchange(ledger, me, claim, now, (name) => seen.has(name));
    const granted = await exchangeOn(me, claim, now, leaves, silenceMs);
    if (leaves) seen.delete(me);
    held.set(me, leaves ? 0 : expected.capacity);
    if (granted !== null) assertSame({ ...granted, epoch: 0 }, { ...expected, epoch: 0 }, `${i}`);
  }
});

void test(
  'the same in 1,000 exchanges of a budget, whose members die, leave, come back after hours, and whose data are lost',
  options,
  async (t) => {
    const { client, key, exchangeOn } = await open(t);
    const random = createSeededRandom(11);
    const chance = (share: number): boolean => random.next() < share;
    let ledger: Ledger | null = null;
    const live = new Set<string>();
    const own = new Map<string, { spent: number; held: number; acknowledged: number; elsewhere: number; epoch: number }>();
    let now = 1_000_000;
    for (let i = 0; i < 1_000; i++) {
      now += chance(0.02) ? 1.5 * MERGED_MS : Math.floor(random.next() * 400);
      const me = `m${Math.floor(random.next() * 6)}`;
      if (chance(0.01)) {
        await client.call('DEL', key('budget'));
        ledger = null;
      }
      const state = own.get(me) ?? { spent: 0, held: 0, acknowledged: 0, elsewhere: 1_000 * random.next(), epoch: 0 };
      own.set(me, state);
      const spends = state.held * random.next() * 0.5;
      state.spent += spends;
      state.held -= spends;
      const leaves = chance(0.05);
      const claim: LeaseClaim = {
        ...NONE,
        id: 'budget',
        capacity: 20_000,
        countedMs: 86_400_000,
        epoch: state.epoch,
        heldCapacity: leaves ? 0 : state.held,
        wantCapacity: leaves ? 0 : 300 * random.next(),
        first: !leaves && chance(0.3) ? 200 * random.next() : 0,
        rank: Math.floor(random.next() * 3),
        hasStarted: chance(0.5),
        spending: {
          spent: state.spent,
          reserved: state.held * random.next(),
          acknowledged: state.acknowledged,
          elsewhere: state.elsewhere,
        },
      };
      live.add(me);
      ledger ??= createLedger(now, claim.capacity, now);
      const expected = exchange(ledger, me, claim, now, (name) => live.has(name));
      const granted = await exchangeOn(me, claim, now, leaves);
      if (leaves || chance(0.05)) {
        live.delete(me);
        if (!leaves) await client.call('ZREM', '{t}:members', me);
      }
      if (granted === null) {
        own.delete(me);
        continue;
      }
      assertSame(granted, expected, `${i}`);
      const { spent } = expected.elsewhere!;
      Object.assign(state, { held: expected.capacity, acknowledged: state.spent, elsewhere: spent, epoch: expected.epoch });
    }
  },
);
