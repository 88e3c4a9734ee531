import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseGrant } from '../../core/lease.ts';
import { testResourceContract } from '../../core/resource.contract.ts';
import { LeasedBucket } from './leased-bucket.ts';
import { LeasedWindow } from './leased-window.ts';
import { requestLimit } from './measures.fixture.ts';

const MINUTE = 60_000;
const ONE = { requests: 1, inputTokens: 0, outputTokens: 0 };

const GRANT: LeaseGrant = {
  epoch: 1,
  poolLevel: 0,
  capacity: 10,
  rate: 10 / MINUTE,
  tokens: 10,
  fairCapacity: 10,
  fairRate: 10 / MINUTE,
  isContested: false,
  readyInMs: -1,
  lacks: false,
};

function bucket(now = 0, grant: Partial<LeaseGrant> = {}): { bucket: LeasedBucket; asked: () => number } {
  let asked = 0;
  const leased = new LeasedBucket(requestLimit(60, MINUTE), now, () => void asked++);
  leased.granted(now, { ...GRANT, ...grant });
  return { bucket: leased, asked: () => asked };
}

// For a smaller part the instant is an estimate: others may give back something sooner.
testResourceContract('a part that is the whole bucket', (now) => bucket(now, { capacity: 60, rate: 60 / MINUTE, tokens: 60 }).bucket);
testResourceContract('a part that is the whole window', (now) => {
  const leased = new LeasedWindow(requestLimit(60, MINUTE), now, () => {});
  leased.granted(now, { ...GRANT, capacity: 60, rate: 0, tokens: 0 });
  return leased;
});

test('nothing starts before a part is granted, and the bucket asks for one', () => {
  let asked = 0;
  const leased = new LeasedBucket(requestLimit(60, MINUTE), 0, () => void asked++);
  assert.ok(leased.earliest(0, ONE) > 0);
  assert.equal(asked, 1);
  assert.equal(leased.claim(10, 2)!.first, 1);
});

test('a part is spent without asking, and more is requested once it is used up', () => {
  const { bucket: leased, asked } = bucket();
  for (let i = 0; i < 10; i++) {
    assert.equal(leased.earliest(0, ONE), 0);
    leased.reserve(0, ONE);
  }
  assert.equal(asked(), 0);
  assert.ok(leased.earliest(0, ONE) > 0);
  assert.equal(asked(), 1);
});

test('what was given back is no longer available, and nothing else is lost', () => {
  const { bucket: leased } = bucket(0, { capacity: 60, tokens: 60 });
  for (let i = 0; i < 5; i++) leased.reserve(0, ONE);
  const claim = leased.claim(1_000, 4)!;
  assert.ok(claim.returned > 0);
  assert.ok(Math.abs(leased.available(1_000) + claim.returned - 55) < 0.2, `${leased.available(1_000)} ${claim.returned}`);
  assert.equal(claim.level, leased.available(1_000));
});

test('detached, it continues with its share of the limit, from its current level', () => {
  const { bucket: leased } = bucket();
  for (let i = 0; i < 10; i++) leased.reserve(0, ONE);
  leased.detach(1_000, 4);
  assert.ok(leased.available(1_000) < 1);
  assert.equal(leased.capacity, 15);
  assert.ok(Math.abs(leased.available(1_000 + MINUTE) - 15) < 0.5);
});

test('an idle part makes no claims, except for a confirmation every minute', () => {
  const { bucket: leased } = bucket();
  leased.claim(1_000, 2);
  leased.claim(2_000, 2);
  assert.equal(leased.claim(3_000, 2), null);
  assert.notEqual(leased.claim(70_000, 2), null);
});

test('detached, a request above its share starts on a full share and is paid back before the next', () => {
  const { bucket: leased } = bucket();
  leased.detach(0, 12); // a share of five
  const large = { ...ONE, requests: 20 };
  let now = 0;
  for (let i = 0; i < 1_000 && leased.earliest(now, large) > now; i++) now = leased.earliest(now, large);
  assert.ok(now <= MINUTE, `after ${now} ms`);
  leased.reserve(now, large);
  const next = now + 16 * (MINUTE / 5);
  assert.ok(leased.earliest(now, ONE) > now);
  assert.ok(leased.available(next - 1) < 1 && leased.available(next + 200) >= 1);
});

test('detached, a request above its share of a window starts when nothing else counts', () => {
  const leased = new LeasedWindow(requestLimit(60, MINUTE), 0, () => {});
  leased.granted(0, { ...GRANT, rate: 0, tokens: 0 });
  leased.reserve(0, ONE);
  leased.detach(0, 12);
  const large = { ...ONE, requests: 20 };
  assert.ok(leased.earliest(1, large) > 1);
  const later = MINUTE + 100;
  assert.equal(leased.earliest(later, large), later);
  leased.reserve(later, large);
  assert.ok(leased.earliest(later, ONE) > later);
});

test('detached, a new limit gives a new share', () => {
  const { bucket: leased } = bucket();
  leased.detach(0, 2);
  leased.setLimit(0, 600, 1);
  assert.equal(leased.capacity, 300);
  const window = new LeasedWindow(requestLimit(60, MINUTE), 0, () => {});
  window.detach(0, 2);
  window.setLimit(600);
  assert.equal(window.limit, 300);
});

test('detached, the refill before a new limit is owed at the former rate', () => {
  const { bucket: leased } = bucket();
  leased.detach(0, 2); // 30 a minute instead of 10
  leased.setLimit(MINUTE, 600, 1);
  assert.ok(Math.abs(leased.claim(MINUTE, 2)!.debt - 20) < 1e-6);
  assert.ok(Math.abs(leased.claim(MINUTE + 6_000, 2)!.debt - 20 - 29) < 1e-6, 'a tenth of a minute at 300 instead of 10');
});

test('what a claim has reported is not deducted again if the limit changes before its reply', () => {
  const { bucket: leased } = bucket();
  leased.detach(0, 2);
  const { debt, level } = leased.claim(MINUTE, 2)!;
  assert.ok(Math.abs(debt - 20) < 1e-6);
  leased.setLimit(MINUTE, 120, 1);
  leased.granted(MINUTE, { ...GRANT, capacity: 60, tokens: 0 });
  assert.ok(Math.abs(leased.available(MINUTE) - level) < 1e-6, `${leased.available(MINUTE)} of ${level}`);
});

test('an instance that started detached owes the share that it started with', () => {
  const leased = new LeasedBucket(requestLimit(60, MINUTE), 0, () => {});
  leased.detach(0, 2);
  leased.setLimit(0, 600, 1);
  assert.equal(leased.claim(0, 2)!.debt, 30);
});

test('the debt is reported when it leaves', () => {
  const { bucket: leased } = bucket(0, { capacity: 60, rate: 60 / MINUTE, tokens: 60 });
  leased.reserve(0, { ...ONE, requests: 60 });
  leased.reserve(0, { ...ONE, requests: 5 });
  const { returned, debt } = leased.leave(0);
  assert.deepEqual([returned, debt], [0, 5]);
});

test('what was spent while a delayed reply was on its way is deducted', () => {
  const { bucket: leased } = bucket();
  leased.detach(1_000, 2); // 30 a minute instead of 10
  leased.reserve(1_000, { ...ONE, requests: 10 });
  const level = leased.available(4_000);
  leased.granted(4_000, { ...GRANT, tokens: 0 });
  assert.ok(Math.abs(level - leased.available(4_000) - 1) < 1e-6, 'a second of refill at 20 a minute more, three times');
});

test('so is the share of an instance that started detached', () => {
  const leased = new LeasedBucket(requestLimit(60, MINUTE), 0, () => {});
  leased.claim(0, 2);
  leased.detach(1_000, 2);
  leased.reserve(1_000, { ...ONE, requests: 5 });
  leased.granted(1_000, { ...GRANT, tokens: 10 });
  assert.equal(leased.available(1_000), 10 - 5);
});

for (const [what, create] of [
  ['bucket', () => new LeasedBucket(requestLimit(60, MINUTE), 0, () => {})],
  ['window', () => new LeasedWindow(requestLimit(60, MINUTE), 0, () => {})],
] as const) {
  test(`an idle ${what} that holds the whole limit gives it up when another member joins or is short of it`, () => {
    const whole = { ...GRANT, capacity: 60, rate: what === 'bucket' ? 60 / MINUTE : 0, tokens: what === 'bucket' ? 60 : 0 };
    const leased = create();
    leased.claim(0, 1);
    leased.granted(0, whole);
    leased.claim(1_000, 1);
    leased.granted(1_000, { ...whole, tokens: 0 });
    assert.equal(leased.claim(2_000, 1), null, 'idle');
    assert.ok(leased.claim(3_000, 2)!.heldCapacity < 60, 'a member has joined');
    leased.granted(3_000, { ...whole, tokens: 0 });
    leased.claim(4_000, 2);
    leased.granted(4_000, { ...whole, tokens: 0 });
    assert.notEqual(leased.claim(5_000, 2, true), null, 'a member is short of it');
  });
}
