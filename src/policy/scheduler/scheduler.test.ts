import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Settlement } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { CircuitBreaker } from '../circuit-breaker/circuit-breaker.ts';
import { Cooldown } from '../cooldown/cooldown.ts';
import { applicant, capacity, Driver, makeScheduler, requests, slots, tokens } from './scheduler.fixture.ts';
import type { TestApplicant, Wish } from './scheduler.fixture.ts';

const SUCCESS: Settlement = { usage: null, health: 'success' };

/** One slot that is taken, so that everybody waits; `next` ends whoever runs. */
function oneBusySlot(driver: Driver): { tiers: TestApplicant['tiers']; next: () => void } {
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('running', tiers));
  const next = (): void => {
    const [name] = driver.running.keys();
    if (name !== undefined) driver.settle(name);
  };
  return { tiers, next };
}

/** The order in which these start on one slot. */
function orderOf(driver: Driver, wishes: readonly (readonly [string, Wish])[]): string {
  const { tiers, next } = oneBusySlot(driver);
  for (const [name, wish] of wishes) driver.submit(applicant(name, tiers, wish));
  for (let i = 0; i < wishes.length; i++) next();
  return driver.names.slice(1).join(' ');
}

function cooling(until: number): Cooldown {
  const cooldown = new Cooldown('cooldown', 'cooldown', createSeededRandom(1));
  cooldown.coolUntil(until);
  return cooldown;
}

test('starts at once where there is room, and takes from every resource of the target', () => {
  const driver = new Driver();
  const [bucket, limiter] = [requests(10), slots(3)];
  driver.submit(applicant('a', [[capacity('p/m', bucket, limiter)]]));
  assert.deepEqual(driver.started, [{ name: 'a', target: 'p/m', at: 0 }]);
  assert.deepEqual([bucket.available(0), limiter.inUse, driver.scheduler.length], [9, 1, 0]);
});

test('higher classes go first, jobs last', () => {
  const wishes = [
    ['j', { class: 'job' }],
    ['l', { class: 'low' }],
    ['n', { class: 'normal' }],
    ['h', { class: 'high' }],
  ] as const;
  assert.equal(orderOf(new Driver(), wishes), 'h n l j');
});

test('inside a client the earliest deadline goes first, then the first that came', () => {
  const wishes = [
    ['b1', { deadline: 2e6 }],
    ['b2', { deadline: 2e6 }],
    ['a', { deadline: 1e6 }],
    ['c', { deadline: 3e6 }],
  ] as const;
  assert.equal(orderOf(new Driver(), wishes), 'a b1 b2 c');
});

test('clients take turns by tokens: who asks for ten times as much starts a tenth as often', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 300; i++)
    driver.submit(
      applicant(`small${i}`, tiers, { client: 'small', tokens: 10 }),
      applicant(`large${i}`, tiers, { client: 'large', tokens: 100 }),
    );
  for (let i = 0; i < 220; i++) next();
  const large = driver.names.filter((name) => name.startsWith('large')).length;
  assert.ok(Math.abs(large - 20) <= 1, `${large}`);
});

test('a client that asks for one large thing at a time pays for it too', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 300; i++) driver.submit(applicant(`small${i}`, tiers, { client: 'small', tokens: 10 }));
  let large = 0;
  driver.submit(applicant('large0', tiers, { client: 'large', tokens: 100 }));
  for (let i = 0; i < 220; i++) {
    next();
    if (driver.names.at(-1) === `large${large}`) driver.submit(applicant(`large${++large}`, tiers, { client: 'large', tokens: 100 }));
  }
  assert.ok(Math.abs(large - 20) <= 1, `${large}`);
});

test('a client that comes late starts level with the others, not ahead by all that it did not use', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 100; i++) driver.submit(applicant(`a${i}`, tiers, { client: 'a' }));
  for (let i = 0; i < 50; i++) next();
  for (let i = 0; i < 100; i++) driver.submit(applicant(`b${i}`, tiers, { client: 'b' }));
  for (let i = 0; i < 20; i++) next();
  const late = driver.names.slice(-20).filter((name) => name.startsWith('b')).length;
  assert.ok(Math.abs(late - 10) <= 1, `${late}`);
});

test('waiting lower classes keep exactly their shares of starts over a long run', () => {
  const driver = new Driver(makeScheduler({ minShare: { normal: 0.2, low: 0.05 }, queueLengthMax: 10_000 }));
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 2000; i++)
    for (const kind of ['high', 'normal', 'low', 'job'] as const) driver.submit(applicant(`${kind} ${i}`, tiers, { class: kind }));
  for (let i = 0; i < 2000; i++) next();
  const count = (kind: string): number => driver.names.slice(1).filter((name) => name.startsWith(kind)).length;
  assert.deepEqual(
    [count('job'), Math.abs(count('low') - 100) <= 1, Math.abs(count('normal') - 400) <= 1],
    [0, true, true],
    `${count('normal')} ${count('low')}`,
  );
});

test('a class that only now waits has saved up nothing', () => {
  const driver = new Driver(makeScheduler({ minShare: { low: 0.5 } }));
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 20; i++) driver.submit(applicant(`h${i}`, tiers, { class: 'high' }));
  for (let i = 0; i < 10; i++) next();
  driver.submit(applicant('low', tiers, { class: 'low' }));
  next();
  assert.equal(driver.names.at(-1), 'h10');
});

test('waits for a better tier that is back within patience', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m', cooling(800))], [capacity('b/m')]];
  driver.submit(applicant('x', tiers, { patienceMs: 1000 }));
  driver.advanceTo(5000);
  assert.deepEqual(driver.started, [{ name: 'x', target: 'a/m', at: 800 }]);
});

test('does not wait for a better tier that comes back too late', () => {
  const driver = new Driver();
  driver.submit(applicant('x', [[capacity('a/m', cooling(1500))], [capacity('b/m')]], { patienceMs: 1000 }));
  assert.deepEqual(driver.started, [{ name: 'x', target: 'b/m', at: 0 }]);
});

test('gives up on a busy better tier when patience ends', () => {
  const driver = new Driver();
  const first = capacity('a/m', slots(1));
  driver.submit(applicant('running', [[first]]), applicant('x', [[first], [capacity('b/m')]], { patienceMs: 1000 }));
  driver.advanceTo(5000);
  assert.deepEqual(driver.started[1], { name: 'x', target: 'b/m', at: 1000 });
});

test('under overload all that the better tier cannot carry spills over after patience', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m', requests(600))], [capacity('b/m', requests(6000))]];
  for (let i = 0; i < 2000; i++) {
    driver.advanceTo(i * 20);
    driver.submit(applicant(`x${i}`, tiers, { patienceMs: 1000 }));
  }
  driver.advanceTo(60_000);
  assert.equal(driver.started.length, 2000);
  const onFirst = driver.started.filter((start) => start.target === 'a/m').length;
  assert.ok(onFirst > 600 + 370 && onFirst < 600 + 420, `${onFirst}`);
});

test('without patience a free worse tier is used at once', () => {
  const driver = new Driver();
  const first = capacity('a/m', slots(1));
  driver.submit(applicant('running', [[first]]), applicant('x', [[first], [capacity('b/m')]], { patienceMs: 0 }));
  assert.equal(driver.started[1]!.target, 'b/m');
});

test('one that is patient does not hold up those behind it whose patience is over', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m', slots(1))], [capacity('b/m')]];
  driver.submit(applicant('running', tiers));
  driver.submit(applicant('patient', tiers, { patienceMs: 10_000, deadline: 50_000 }), applicant('hasty', tiers, { patienceMs: 100 }));
  driver.advanceTo(200);
  assert.deepEqual(driver.started[1], { name: 'hasty', target: 'b/m', at: 100 });
});

test('a large request is not starved by a stream of small ones', () => {
  const driver = new Driver();
  const bucket = tokens(6000);
  const tiers = [[capacity('p/m', bucket)]];
  driver.submit(applicant('first', tiers, { tokens: 6000 }), applicant('large', tiers, { tokens: 5000, client: 'b' }));
  for (let i = 0; i < 600; i++) {
    driver.advanceTo(driver.now + 100);
    driver.submit(applicant(`small${i}`, tiers, { tokens: 10 }));
  }
  const large = driver.started.find((start) => start.name === 'large')!;
  assert.ok(large.at >= 50_000 && large.at < 50_500, `${large.at}`);
});

test('nor between two resources, where each time the one frees the other is gone', () => {
  const driver = new Driver();
  const [bucket, limiter] = [tokens(6000), slots(1)];
  const tiers = [[capacity('p/m', bucket, limiter)]];
  driver.submit(applicant('first', tiers, { tokens: 6000 }), applicant('large', tiers, { tokens: 3000, client: 'b' }));
  let running = 'first';
  for (let i = 0; i < 700 && running !== 'large'; i++) {
    driver.advanceTo(driver.now + 90);
    driver.settle(running);
    driver.submit(applicant(`small${i}`, tiers, { tokens: 5 }));
    running = driver.running.keys().next().value ?? 'first';
    if (!driver.running.has(running))
      driver.running.set('first', { kind: 'start', target: tiers[0]![0]!, clientPermit: null, permit: { settle() {} } as never });
  }
  const large = driver.started.find((start) => start.name === 'large')!;
  assert.ok(large.at < 31_000, `${large.at}`);
});

test('nor by newcomers of another lane on the same resource', () => {
  const driver = new Driver();
  const bucket = tokens(6000);
  const [one, other] = [[[capacity('p/m', bucket)]], [[capacity('p/n', bucket)]]];
  driver.submit(applicant('first', one, { tokens: 6000 }), applicant('large', one, { tokens: 3000 }));
  for (let i = 0; i < 600; i++) {
    driver.advanceTo(driver.now + 100);
    driver.submit(applicant(`small${i}`, other, { tokens: 10 }));
  }
  const large = driver.started.find((start) => start.name === 'large')!;
  assert.ok(large.at < 31_000, `${large.at}`);
});

test('what waits for a breaker keeps no shared bucket from the targets beside it', () => {
  const driver = new Driver();
  const bucket = requests(60);
  const breaker = new CircuitBreaker(
    'breaker',
    { windowMs: 1000, failureRatio: 1, minRequests: 10, consecutiveFailures: 1, openForMs: 30_000, maxOpenForMs: 30_000, probes: 1 },
    { next: () => 0 },
  );
  const [one, other] = [[[capacity('p/m', bucket, breaker)]], [[capacity('p/n', bucket)]]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, other));
  driver.submit(applicant('first', one));
  breaker.settle(
    0,
    breaker.reserve(0, { requests: 1, inputTokens: 0, outputTokens: 0 }),
    { requests: 1, inputTokens: 0, outputTokens: 0 },
    { usage: null, health: 'failure' },
  );
  driver.poll();
  driver.submit(applicant('beside', other));
  driver.advanceTo(5000);
  assert.equal(driver.names.at(-1), 'beside');
});

test('a class above passes one that waits for much; the same class and those below don’t', () => {
  for (const [kind, passes] of [
    ['high', true],
    ['normal', false],
    ['low', false],
  ] as const) {
    const driver = new Driver();
    const bucket = tokens(6000);
    driver.submit(
      applicant('first', [[capacity('p/m', bucket)]], { tokens: 5000 }),
      applicant('large', [[capacity('p/m', bucket)]], { tokens: 5000 }),
    );
    driver.submit(applicant('newcomer', [[capacity('p/n', bucket)]], { class: kind, tokens: 10 }));
    assert.equal(driver.names.includes('newcomer'), passes, kind);
  }
});

test('what cannot start in time is refused at once, with the instant at which it could and what is in the way', () => {
  const driver = new Driver();
  driver.submit(applicant('x', [[capacity('a/m', cooling(9000))], [capacity('b/m', cooling(7000), requests(10))]], { deadline: 5000 }));
  const [refused] = driver.refused;
  assert.deepEqual(refused, {
    name: 'x',
    at: 0,
    refusal: {
      kind: 'refuse',
      why: 'infeasible',
      earliest: 7000,
      limited: true,
      blockers: [
        { target: 'a/m', kind: 'cooldown', waitMs: 9000 },
        { target: 'b/m', kind: 'cooldown', waitMs: 7000 },
      ],
    },
  });
});

test('a request above every limit is refused at once and named no instant', () => {
  const driver = new Driver();
  driver.submit(applicant('x', [[capacity('p/m', tokens(100))]], { tokens: 101 }));
  assert.deepEqual(
    [driver.refused[0]!.refusal.why, driver.refused[0]!.refusal.earliest, driver.refused[0]!.refusal.limited],
    ['infeasible', null, false],
  );
});

test('what an open breaker holds back is not called limited', () => {
  const driver = new Driver();
  const bench = new Cooldown('bench', 'bench', createSeededRandom(1));
  bench.coolUntil(20_000);
  driver.submit(applicant('x', [[capacity('p/m', bench)]], { deadline: 5000 }));
  assert.equal(driver.refused[0]!.refusal.limited, false);
  driver.submit(applicant('y', [[capacity('p/m', bench)], [capacity('q/m', cooling(9000))]], { deadline: 5000 }));
  assert.equal(driver.refused[1]!.refusal.limited, true);
});

test('who waits only for others to end is named no instant', () => {
  const driver = new Driver();
  const { tiers } = oneBusySlot(driver);
  driver.submit(applicant('x', tiers, { deadline: 1000 }));
  driver.advanceTo(1000);
  assert.deepEqual(driver.refused[0]!.refusal, {
    kind: 'refuse',
    why: 'expired',
    earliest: null,
    limited: true,
    blockers: [{ target: 'p/m', kind: 'concurrency', waitMs: null }],
  });
});

test('a wait ends at its own limit, before the deadline', () => {
  const driver = new Driver();
  const { tiers } = oneBusySlot(driver);
  driver.submit(applicant('x', tiers, { waitUntil: 500, deadline: 9000 }));
  driver.advanceTo(9000);
  assert.deepEqual(
    driver.refused.map(({ name, at, refusal }) => [name, at, refusal.why]),
    [['x', 500, 'expired']],
  );
});

test('a request that may not wait starts now or never', () => {
  const driver = new Driver();
  const free = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('a', free, { waitUntil: 0 }), applicant('b', free, { waitUntil: 0 }));
  assert.deepEqual([driver.names, driver.refused.length], [['a'], 1]);
});

test('a request whose deadline has passed is not started, however free the target is', () => {
  const driver = new Driver();
  driver.now = 100;
  driver.submit(applicant('x', [[capacity('p/m')]], { deadline: 100 }));
  assert.deepEqual([driver.started, driver.refused[0]!.refusal.why], [[], 'expired']);
});

test('one more than the queue holds is refused', () => {
  const driver = new Driver(makeScheduler({ queueLengthMax: 2 }));
  const { tiers } = oneBusySlot(driver);
  for (const name of ['a', 'b', 'c']) driver.submit(applicant(name, tiers));
  assert.deepEqual(
    driver.refused.map(({ name, refusal }) => [name, refusal.why]),
    [['c', 'queue_full']],
  );
  assert.equal(driver.scheduler.length, 2);
});

test('one that leaves is never started, and what it kept from others is theirs', () => {
  const driver = new Driver();
  const bucket = tokens(6000);
  const tiers = [[capacity('p/m', bucket)]];
  const large = applicant('large', tiers, { tokens: 5000 });
  driver.submit(applicant('first', tiers, { tokens: 3000 }), large, applicant('small', tiers, { tokens: 10 }));
  assert.deepEqual(driver.names, ['first']);
  assert.equal(driver.scheduler.cancel(large), true);
  assert.equal(driver.scheduler.cancel(large), false);
  driver.advanceTo(1);
  assert.deepEqual(driver.names, ['first', 'small']);
  assert.deepEqual([driver.scheduler.length, driver.scheduler.wakeAt], [0, Infinity]);
});

test('a cooldown within what may be waited for is waited for, a longer one refused', () => {
  const driver = new Driver();
  driver.submit(applicant('short', [[capacity('a/m', cooling(30_000))]], { maxCooldownWaitMs: 60_000 }));
  driver.submit(applicant('long', [[capacity('b/m', cooling(61_000))]], { maxCooldownWaitMs: 60_000 }));
  assert.deepEqual(
    driver.refused.map(({ name, refusal }) => [name, refusal.why, refusal.earliest]),
    [['long', 'infeasible', 61_000]],
  );
  driver.advanceTo(30_000);
  assert.deepEqual(driver.names, ['short']);
});

test('a client at its own limit waits alone', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(5))]];
  const own = [requests(1, 'own')];
  driver.submit(applicant('a1', tiers, { client: 'a', own }), applicant('a2', tiers, { client: 'a', own }));
  driver.submit(applicant('b1', tiers, { client: 'b' }), applicant('b2', tiers, { client: 'b' }));
  assert.deepEqual(driver.names, ['a1', 'b1', 'b2']);
  driver.advanceTo(61_000);
  assert.deepEqual(driver.names, ['a1', 'b1', 'b2', 'a2']);
});

test('a client at its own limit keeps nothing of the target from others, even if the target was short before', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  const own = [requests(1, 'own')];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, tiers, { client: 'b' }));
  const elsewhere = [[capacity('q/m')]];
  driver.submit(applicant('a1', tiers, { client: 'a', own })); // waits for the target, its own limit is free
  driver.submit(applicant('elsewhere', elsewhere, { client: 'a', own })); // uses the client's limit up
  driver.submit(applicant('b', tiers, { client: 'b', deadline: 1e13 }));
  driver.advanceTo(2500);
  assert.equal(driver.names.at(-1), 'b');
});

test('a client’s own limit that frees too late refuses at once, even where the target is short as well', () => {
  const driver = new Driver();
  const own = [requests(1, 'own')];
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('a1', tiers, { own }), applicant('a2', tiers, { own, deadline: 5000 }));
  assert.deepEqual(
    driver.refused.map(({ name, refusal }) => [name, refusal.limited]),
    [['a2', true]],
  );
});

test('later attempts, which take nothing of the client’s limit, pass first ones that it holds back', () => {
  const driver = new Driver();
  const own = [requests(1, 'own')];
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('a1', tiers, { own }), applicant('a2', tiers, { own, deadline: 500_000 }), applicant('again', tiers, {}));
  driver.settle('a1');
  assert.deepEqual(driver.names, ['a1', 'again']);
});

test('one’s own backoff is kept, and holds up nobody behind', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('again', tiers, { notBefore: () => 700, deadline: 9000 }), applicant('other', tiers));
  assert.deepEqual(driver.names, ['other']);
  driver.settle('other');
  driver.advanceTo(1000);
  assert.deepEqual(driver.started[1], { name: 'again', target: 'p/m', at: 700 });
});

test('a target that must not be asked again is passed over', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m'), capacity('b/m')]];
  driver.submit(applicant('x', tiers, { notBefore: (target) => (target.key === 'a/m' ? Infinity : 0) }));
  assert.equal(driver.started[0]!.target, 'b/m');
});

test('one that fits no free target does not hold up smaller ones behind it', () => {
  const driver = new Driver();
  const tiers = [[capacity('small', tokens(100, 'small')), capacity('large', slots(1), tokens(1e6, 'large'))]];
  driver.submit(applicant('running', [[tiers[0]![1]!]]));
  driver.submit(applicant('large', tiers, { tokens: 5000, deadline: 9000 }), applicant('small', tiers, { tokens: 10 }));
  assert.deepEqual(driver.started[1], { name: 'small', target: 'small', at: 0 });
});

test('a breaker that opens while they wait refuses those for whom it opens too long', () => {
  const driver = new Driver();
  const limiter = slots(1);
  const cooldown = new Cooldown('cooldown', 'cooldown', createSeededRandom(1));
  const tiers = [[capacity('p/m', limiter, cooldown)]];
  driver.submit(applicant('running', tiers), applicant('x', tiers, { deadline: 5000 }), applicant('y', tiers));
  cooldown.coolUntil(10_000);
  driver.settle('running');
  assert.deepEqual(
    driver.refused.map(({ name, refusal }) => [name, refusal.why, refusal.earliest]),
    [['x', 'infeasible', 10_000]],
  );
  driver.advanceTo(10_000);
  assert.deepEqual(driver.names, ['running', 'y']);
});

test('tells how many of each class wait, and how long the oldest has', () => {
  const driver = new Driver();
  const { tiers } = oneBusySlot(driver);
  driver.submit(applicant('a', tiers, { class: 'low' }));
  driver.now = 300;
  driver.submit(applicant('b', tiers, { class: 'high' }), applicant('c', tiers, { class: 'low' }));
  assert.deepEqual([driver.scheduler.waiting('low'), driver.scheduler.waiting('high'), driver.scheduler.oldestMs(400)], [2, 1, 400]);
  driver.settle('running');
  driver.running.get('b')!.permit.settle(300, SUCCESS);
});
