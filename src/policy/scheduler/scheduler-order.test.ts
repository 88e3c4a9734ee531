/** The order of starts, waits for tiers, and holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CircuitBreaker } from '../circuit-breaker/circuit-breaker.ts';
import { applicant, capacity, cooling, Driver, makeScheduler, oneBusySlot, requests, slots, tokens } from './scheduler.fixture.ts';
import type { Wish } from './scheduler.fixture.ts';

/** The order in which these requests start on one slot. */
function orderOf(driver: Driver, wishes: readonly (readonly [string, Wish])[]): string {
  const { tiers, next } = oneBusySlot(driver);
  for (const [name, wish] of wishes) driver.submit(applicant(name, tiers, wish));
  for (let i = 0; i < wishes.length; i++) next();
  return driver.names.slice(1).join(' ');
}

test('higher classes go first, jobs last', () => {
  const wishes = [
    ['j', { class: 'job' }],
    ['l', { class: 'low' }],
    ['n', { class: 'normal' }],
    ['h', { class: 'high' }],
  ] as const;
  assert.equal(orderOf(new Driver(), wishes), 'h n l j');
});

test('within a client the earliest deadline goes first, then arrival', () => {
  const wishes = [
    ['b1', { deadline: 2e6 }],
    ['b2', { deadline: 2e6 }],
    ['a', { deadline: 1e6 }],
    ['c', { deadline: 3e6 }],
  ] as const;
  assert.equal(orderOf(new Driver(), wishes), 'a b1 b2 c');
});

test('clients share by tokens: one whose requests are ten times as large starts a tenth as many', () => {
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

test('the same holds for a client with one large request at a time', () => {
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

test('a client that arrives late starts level with the others, without credit for the time before', () => {
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

test('a class that starts to wait has no credit', () => {
  const driver = new Driver(makeScheduler({ minShare: { low: 0.5 } }));
  const { tiers, next } = oneBusySlot(driver);
  for (let i = 0; i < 20; i++) driver.submit(applicant(`h${i}`, tiers, { class: 'high' }));
  for (let i = 0; i < 10; i++) next();
  driver.submit(applicant('low', tiers, { class: 'low' }));
  next();
  assert.equal(driver.names.at(-1), 'h10');
});

test('waits for a better tier that opens within the patience', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m', cooling(800))], [capacity('b/m')]];
  driver.submit(applicant('x', tiers, { patienceMs: 1000 }));
  driver.advanceTo(5000);
  assert.deepEqual(driver.started, [{ name: 'x', target: 'a/m', at: 800 }]);
});

test('does not wait for a better tier that opens too late', () => {
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

test('under overload the excess of the better tier overflows after the patience', () => {
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

test('a patient request does not block those behind it whose patience is over', () => {
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

test('nor between two resources of which one is taken whenever the other one opens', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', tokens(6000), slots(1))]];
  driver.submit(applicant('first', tiers, { tokens: 6000 }), applicant('large', tiers, { tokens: 3000, client: 'b' }));
  for (let i = 0; i < 700; i++) {
    driver.advanceTo(driver.now + 90);
    for (const name of driver.running.keys()) driver.settle(name);
    driver.submit(applicant(`small${i}`, tiers, { tokens: 5 }));
  }
  const large = driver.started.find((start) => start.name === 'large')!;
  assert.ok(large.at < 31_000, `${large.at}`);
});

test('nor by newcomers for other targets on the same resource', () => {
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

test('a request that waits for a breaker does not hold a shared bucket against requests for other targets', () => {
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

test('a higher class passes a large waiting request; the same class and lower ones do not', () => {
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
