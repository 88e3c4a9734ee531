/** The script of the Redis driver and the ledger in TypeScript are the same arithmetic. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseClaim } from '../../src/core/lease.ts';
import { createLedger, exchange, type Ledger } from '../../src/policy/lease/ledger.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { EXCHANGE_SCRIPT } from '../../src/store/redis/lease-script.ts';
import { connectRedis } from '../../src/store/redis/redis-client.ts';
import { toArguments, toGrant } from '../../src/store/redis/redis-shared.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

void test('script and ledger grant the same in 1,000 random exchanges', { skip: skipWithoutRedis }, async (t) => {
  const server = await startRedis();
  t.after(() => server.stop());
  const client = await connectRedis({ address: parseRedisUrl(server.url), connectTimeoutMs: 2_000, onLost: () => {} });
  t.after(() => client.destroy());
  const random = createSeededRandom(7);
  const names = ['a', 'b', 'c', 'd'];
  const terms = [
    { id: 'bucket', capacity: 600, rate: 0.01 },
    { id: 'small', capacity: 3, rate: 0.00005 },
    { id: 'window', capacity: 100, rate: 0, countedMs: 5_000 },
    { id: 'places', capacity: 10, rate: 0 },
  ];
  const ledgers = new Map<string, Ledger>();
  const seen = new Map<string, number>();
  const held = new Map<string, { capacity: number; rate: number; level: number; epoch: number; poolLevel: number }>();
  let now = 1_000_000;
  for (let i = 0; i < 1_000; i++) {
    now += Math.floor(random.next() * 400);
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
      level: own.level - returned,
      returned,
      debt: random.next() < 0.05 ? 10 * random.next() : 0,
      wantCapacity: capacity * random.next(),
      wantRate: isShort ? rate : rate * random.next(),
      wantTokens: rate > 0 ? capacity * random.next() : 0,
      first: isShort ? Math.ceil(capacity * 0.1 * random.next()) : 0,
      rank: Math.floor(random.next() * 3),
      hasStarted: random.next() < 0.5,
    };
    const ledger = ledgers.get(id) ?? createLedger(now, capacity, now);
    ledgers.set(id, ledger);
    seen.set(me, now);
    const expected = exchange(ledger, me, claim, now, (name) => now - seen.get(name)! <= 1e9);
    const keys = ['{t}:members', `{t}:lease:${id}`];
    const [, grants] = (await client.run(EXCHANGE_SCRIPT, keys, [me, 1e9, now, 'c', '0', ...toArguments(claim)])) as [string[], string[]];
    const granted = toGrant(grants[0]!);
    for (const [field, value] of Object.entries(expected)) {
      const got = granted[field as keyof typeof granted];
      if (typeof value === 'number')
        assert.ok(Math.abs(value - Number(got)) < 1e-6 * Math.max(1, Math.abs(value)), `${i} ${field}: ${value} ${got}`);
      else assert.equal(got, value, `${i} ${field}`);
    }
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
