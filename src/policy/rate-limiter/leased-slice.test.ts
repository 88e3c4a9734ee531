/** Limits of a day: what an instance holds of them, and how it continues without the store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { LeasedBucket } from './leased-bucket.ts';
import { LeasedWindow } from './leased-window.ts';
import { requestLimit, tokenLimit } from './measures.fixture.ts';

const DAY = 86_400_000;
const ONE = { requests: 1, inputTokens: 0, outputTokens: 0 };

const GRANT: LeaseGrant = {
  epoch: 1,
  poolLevel: 800,
  capacity: 20,
  rate: 0,
  tokens: 20,
  fairCapacity: 20,
  fairRate: 0,
  isContested: false,
  readyInMs: -1,
  lacks: false,
};

function bucket({ members = 4, grant = {} }: { members?: number; grant?: Partial<LeaseGrant> } = {}) {
  let asked = 0;
  const leased = new LeasedBucket(requestLimit(1_000, DAY), 0, () => void asked++);
  leased.claim(0, members);
  leased.granted(0, { ...GRANT, ...grant });
  return { leased, asked: () => asked };
}

/** Starts as many requests as it can at this instant, at most `most`. */
function startAll(leased: LeasedBucket | LeasedWindow, now: number, most = 2_000): number {
  let started = 0;
  for (; started < most && leased.earliest(now, ONE) <= now; started++) leased.reserve(now, ONE);
  return started;
}

for (const [what, create] of [
  ['bucket', () => new LeasedBucket(requestLimit(1_000, DAY), 0, () => {})],
  ['window', () => new LeasedWindow(requestLimit(1_000, DAY), 0, () => {})],
] as const) {
  test(`an instance alone asks for a request of a ${what}, and under load for a twentieth at most`, () => {
    const leased = create();
    const first = leased.claim(0, 1)!;
    assert.deepEqual([wishOf(first), first.wantRate], [1, 0]);
    leased.granted(0, { ...GRANT, poolLevel: 999, capacity: 1, tokens: 1 });
    for (let now = 1_000, held = 1, used = 0; now < 20_000; now += 1_000) {
      used += startAll(leased, now, 30);
      const claim = leased.claim(now, 1)!;
      const slice = what === 'bucket' ? claim.level + claim.wantTokens : claim.wantCapacity - used;
      assert.ok(slice <= 50 + 1e-6, `${slice} at ${now}`);
      held = what === 'bucket' ? claim.heldCapacity + claim.wantTokens : claim.wantCapacity;
      leased.granted(now, { ...GRANT, poolLevel: 1_000 - used - slice, capacity: held, tokens: claim.wantTokens });
    }
  });
}

for (const [what, create] of [
  ['bucket', () => new LeasedBucket(requestLimit(1_000, DAY), 0, () => {})],
  ['window', () => new LeasedWindow(requestLimit(1_000, DAY), 0, () => {})],
] as const) {
  test(`before its first grant a ${what} is expected soon, as nothing is known of it`, () => {
    const leased = create();
    for (const claimed of [false, true]) {
      if (claimed) leased.claim(0, 1);
      assert.ok(leased.earliest(0, ONE) <= 1_000, `${leased.earliest(0, ONE)} ms`);
      assert.ok(leased.earliestAfter(0, ONE, ONE) <= 1_000, `${leased.earliestAfter(0, ONE, ONE)} ms after another`);
    }
  });

  test(`a ${what} that was left lends nothing`, () => {
    const leased = create();
    leased.claim(0, 1);
    leased.granted(0, { ...GRANT, poolLevel: 980, capacity: 20, tokens: 20 });
    leased.leave(0);
    leased.detach(0, 1);
    assert.ok(startAll(leased, 0) <= 1);
  });
}

function wishOf({ wantTokens, wantCapacity, rate }: LeaseClaim): number {
  return rate > 0 ? wantTokens : wantCapacity;
}

test('the next slice is requested before the present one is used up', () => {
  const { leased, asked } = bucket({ grant: { tokens: 20 } });
  startAll(leased, 0, 20);
  leased.claim(1_000, 4);
  leased.granted(1_000, { ...GRANT, capacity: 70, tokens: 50 });
  const before = asked();
  startAll(leased, 1_000, 20);
  assert.equal(asked(), before);
  startAll(leased, 1_000, 10);
  assert.equal(asked(), before + 1);
});

test('once demand is over, or others wait, what is not needed is returned', () => {
  const { leased } = bucket();
  assert.ok(leased.claim(1_000, 4)!.returned >= 19);
  const other = bucket();
  assert.equal(other.leased.claim(1_000, 4, true)!.returned, 20);
});

test('without the store it uses its slice and an even part of what was left, and asks for that afterwards before it starts again', () => {
  const { leased } = bucket();
  leased.detach(1_000, 4);
  assert.equal(startAll(leased, 1_000), 20 + 200);
  for (const at of [2_000, 3_000]) {
    const claim = leased.claim(at, 4)!;
    assert.deepEqual([claim.level < -199, claim.debt, claim.returned, claim.wantTokens], [true, 0, 0, 0], 'a reply may be lost');
  }
  leased.granted(4_000, { ...GRANT, capacity: 0, tokens: 0 });
  assert.ok(leased.earliest(4_000, ONE) > 4_000);
  const claim = leased.claim(4_100, 4)!;
  assert.ok(claim.wantTokens >= 199 && claim.wantTokens <= 201, `${claim.wantTokens}`);
});

test('after an outage it draws no more than it could have used, until the others have reported', () => {
  const { leased } = bucket();
  leased.detach(1_000, 4);
  startAll(leased, 1_000);
  leased.claim(2_000, 4);
  leased.granted(2_000, { ...GRANT, capacity: 0, tokens: 0 });
  leased.granted(2_100, { ...GRANT, capacity: 200, tokens: leased.claim(2_100, 4)!.wantTokens });
  leased.earliest(2_200, ONE);
  assert.ok(leased.claim(2_200, 4)!.wantTokens < 1);
  leased.earliest(8_000, ONE);
  assert.ok(leased.claim(8_000, 4)!.wantTokens >= 1);
});

test('an instance that uses nothing without the store loses nothing', () => {
  const { leased } = bucket({ grant: { tokens: 1, capacity: 1 } });
  leased.detach(1_000, 2);
  leased.granted(1_000 + DAY / 2, { ...GRANT, capacity: 1, tokens: 0 });
  assert.equal(leased.available(1_000 + DAY / 2), 1);
});

test('a new limit during the outage changes the refill that is on loan from then on', () => {
  for (const limit of [10_000, 100]) {
    const { leased } = bucket({ grant: { poolLevel: 0, tokens: 20 } });
    leased.detach(0, 4);
    startAll(leased, 0, 10);
    leased.setLimit(DAY / 10, limit, 1); // 25 refilled
    startAll(leased, DAY / 10, 20);
    leased.granted(DAY / 5, { ...GRANT, tokens: 0 });
    assert.equal(Math.round(leased.available(DAY / 5)), -10, `${limit}`);
  }
});

test('a bucket that is no longer leased in slices during the outage counts its loan once', () => {
  const { leased } = bucket();
  leased.detach(0, 4);
  startAll(leased, 0, 220);
  leased.setLimit(1_000, 1_000, 0.001);
  assert.equal(leased.isPooled, false);
  const { level, debt } = leased.claim(1_000, 4)!;
  leased.granted(1_000, { ...GRANT, capacity: 1, tokens: 0 });
  assert.deepEqual([Math.round(level), debt, Math.round(leased.available(1_000))], [-200, 0, -200]);
});

test('a bucket that is leased in slices from the outage on counts what it owed once', () => {
  const leased = new LeasedBucket({ ...requestLimit(1_000, DAY), burst: 0.001 }, 0, () => {});
  leased.claim(0, 2);
  leased.granted(0, { ...GRANT, capacity: 1, tokens: 1, rate: 0 });
  leased.detach(0, 2);
  startAll(leased, 0);
  startAll(leased, DAY / 500); // one refilled
  leased.setLimit(DAY / 500, 1_000, 1);
  assert.equal(leased.isPooled, true);
  leased.granted(DAY / 500, { ...GRANT, capacity: 0, tokens: 0 });
  assert.equal(Math.round(leased.available(DAY / 500)), -1);
});

test('an instance that was frozen relies on its slice alone', () => {
  const { leased } = bucket();
  leased.detach(60_000, 4);
  assert.equal(startAll(leased, 60_000), 20);
});

test('an instance that starts without the store uses its share, which counts once it is linked', () => {
  const leased = new LeasedBucket(requestLimit(1_000, DAY), 0, () => {});
  leased.detach(1_000, 2);
  assert.equal(startAll(leased, 1_000), 500);
  leased.granted(2_000, { ...GRANT, capacity: 0, tokens: 0 });
  assert.ok(Math.round(leased.available(2_000)) === -500);
});

test('tokens that a call did not use come back', () => {
  const leased = new LeasedBucket(tokenLimit(100_000, DAY), 0, () => {});
  leased.claim(0, 1);
  leased.granted(0, { ...GRANT, poolLevel: 95_000, capacity: 5_000, tokens: 5_000 });
  const need = { requests: 1, inputTokens: 1_000, outputTokens: 3_000 };
  const ticket = leased.reserve(0, need);
  const claim = leased.claim(1_000, 1)!;
  assert.equal(Math.round(claim.heldCapacity), 5_000, 'room for the refund');
  leased.granted(1_000, { ...GRANT, poolLevel: 95_000, capacity: claim.heldCapacity, tokens: 0 });
  const usage = { inputTokens: 100, cachedInputTokens: 0, outputTokens: 100 };
  leased.settle(2_000, ticket, need, { usage, health: 'success' });
  assert.equal(Math.round(leased.available(2_000)), 4_800);
});

test('while the pool has enough, a window that has used its slice waits for the next one, not for the end of the window', () => {
  const leased = new LeasedWindow(requestLimit(1_000, DAY), 0, () => {});
  leased.claim(0, 1);
  leased.granted(0, { ...GRANT, poolLevel: 990, capacity: 10, tokens: 0 });
  assert.equal(startAll(leased, 0), 10);
  assert.ok(leased.earliest(0, ONE) <= 100);
  leased.granted(100, { ...GRANT, poolLevel: 0, capacity: 10, tokens: 0 });
  assert.ok(leased.earliest(100, ONE) > 60_000);
});

test('a window of a process that was frozen starts nothing before the next exchange', () => {
  let isCurrent = true;
  const leased = new LeasedWindow(
    requestLimit(60, 60_000),
    0,
    () => {},
    () => isCurrent,
  );
  leased.claim(0, 2);
  leased.granted(0, { ...GRANT, capacity: 10, tokens: 0 });
  isCurrent = false;
  assert.equal(startAll(leased, 8_000), 0);
  isCurrent = true;
  assert.equal(startAll(leased, 8_000), 10);
});

test('a window without the store has what it has used, its slice and an even part of what was left', () => {
  const leased = new LeasedWindow(requestLimit(1_000, DAY), 0, () => {});
  leased.claim(0, 4);
  leased.granted(0, { ...GRANT, poolLevel: 400, capacity: 300, tokens: 0 });
  assert.equal(startAll(leased, 0, 290), 290);
  leased.detach(1_000, 4);
  assert.equal(startAll(leased, 1_000), 10 + 100);
  assert.equal(leased.claim(2_000, 4)!.heldCapacity, 400);
});
