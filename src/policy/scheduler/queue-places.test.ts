import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SchedulingClass } from '../../core/request.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { applicant, capacity, CLASSES, cooling, Driver, makeScheduler, oneBusySlot, requests } from './scheduler.fixture.ts';

const minShare = { low: 0.05, normal: 0.2 };

function full(queueLengthMax: number) {
  const driver = new Driver(makeScheduler({ queueLengthMax, minShare }));
  const { tiers, next } = oneBusySlot(driver);
  let count = 0;
  const add = (schedulingClass: SchedulingClass, times = 1, client = 'client'): void => {
    for (let i = 0; i < times; i++) driver.submit(applicant(`${schedulingClass}-${++count}`, tiers, { class: schedulingClass, client }));
  };
  const refused = (): string[] => driver.refused.map(({ name, refusal }) => `${name} ${refusal.why}`);
  return { driver, tiers, next, add, refused };
}

test('in a full queue the last low request is evicted for a high one', () => {
  const { driver, add, refused, next } = full(3);
  add('low', 3);
  add('high');
  assert.deepEqual(refused(), ['low-3 queue_full']);
  assert.equal(driver.scheduler.length, 3);
  assert.equal(driver.scheduler.waiting('high'), 1);
  next();
  assert.deepEqual(driver.names, ['running', 'high-4']);
});

test('the lowest class is evicted first, and no request is evicted for a lower class', () => {
  const { add, refused } = full(4);
  add('high');
  add('normal');
  add('low');
  add('job');
  add('normal');
  add('high');
  add('low');
  assert.deepEqual(refused(), ['job-4 queue_full', 'low-3 queue_full', 'low-7 queue_full']);
});

test('a class keeps its share of the places', () => {
  const { driver, add } = full(100);
  add('low', 100);
  add('normal', 200);
  assert.equal(driver.scheduler.waiting('low'), 5);
  add('high', 200);
  assert.deepEqual([driver.scheduler.waiting('high'), driver.scheduler.waiting('normal'), driver.scheduler.waiting('low')], [75, 20, 5]);
});

test('a class regains its share from a class above its own share', () => {
  const { driver, add } = full(100);
  add('high', 200);
  assert.equal(driver.scheduler.waiting('high'), 100);
  add('low', 50);
  add('normal', 50);
  add('job', 50);
  assert.deepEqual(
    CLASSES.map((each) => driver.scheduler.waiting(each)),
    [75, 20, 5, 0],
  );
});

test('within a class the client with the most places is evicted, until all have the same number', () => {
  const { driver, add, refused } = full(10);
  add('normal', 10, 'greedy');
  add('normal', 8, 'modest');
  assert.deepEqual(
    refused().map((text) => text.split(' ')[0]),
    ['normal-10', 'normal-9', 'normal-8', 'normal-7', 'normal-6', 'normal-16', 'normal-17', 'normal-18'],
  );
  assert.equal(driver.scheduler.length, 10);
});

test('a refusal at a full queue states when one more request would start', () => {
  const driver = new Driver(makeScheduler({ queueLengthMax: 60, minShare }));
  const tiers = [[capacity('p/m', requests(60))]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`first-${i}`, tiers));
  for (let i = 0; i < 60; i++) driver.submit(applicant(`low-${i}`, tiers, { class: 'low' }));
  driver.submit(applicant('one more', tiers, { class: 'low' }));
  driver.submit(applicant('high', tiers, { class: 'high' }));
  const [newcomer, displaced] = driver.refused;
  assert.deepEqual(
    [newcomer?.name, newcomer?.refusal.why, displaced?.name, displaced?.refusal.why],
    ['one more', 'queue_full', 'low-59', 'queue_full'],
  );
  for (const { refusal } of driver.refused) assert.ok(refusal.earliest! >= 59_000 && refusal.earliest! <= 80_000, `${refusal.earliest} ms`);
});

test('an evicted request that leaves before the refusal is delivered is not refused', () => {
  const { scheduler } = new Driver(makeScheduler({ queueLengthMax: 1, minShare }));
  const driver = new Driver(scheduler);
  const { tiers } = oneBusySlot(driver);
  const low = applicant('low', tiers, { class: 'low' });
  driver.submit(low);
  assert.equal(scheduler.submit(0, applicant('high', tiers, { class: 'high' })).kind, 'wait');
  assert.ok(scheduler.wakeAt <= 0);
  assert.equal(scheduler.cancel(0, low), true);
  assert.equal(scheduler.cancel(0, low), false);
  assert.deepEqual(scheduler.poll(0), []);
});

for (let seed = 1; seed <= 20; seed++) {
  test(`no client takes places of another one, and every waiting request gets one decision (seed ${seed})`, () => {
    const random = createSeededRandom(seed);
    const places = 40;
    const { driver, tiers, next } = full(places);
    let sent = 0;
    const isRefused = (given: string): boolean => driver.refused.some(({ name }) => name.startsWith(given));
    const submit = (client: string, schedulingClass: SchedulingClass): void => {
      driver.submit(applicant(`${client}-${schedulingClass}-${++sent}`, tiers, { client, class: schedulingClass }));
    };
    for (let step = 0; step < 400; step++) {
      const draw = random.next();
      if (draw < 0.6) submit('flood', (['normal', 'low', 'job'] as const)[Math.floor(random.next() * 3)]!);
      else if (draw < 0.65) submit('modest', 'normal');
      else if (draw < 0.7) submit('urgent', 'high');
      else next();
      assert.ok(driver.scheduler.length <= places);
      assert.ok(!isRefused('urgent'), 'a high request is never refused for lower ones');
      assert.ok(!isRefused('modest'), 'a client with few places is never refused for one with more');
    }
    while (driver.scheduler.length > 0) next();
    assert.equal(new Set([...driver.names, ...driver.refused.map(({ name }) => name)]).size, sent + 1);
    assert.equal(driver.names.length + driver.refused.length, sent + 1);
  });
}

test('a newcomer that evicts another does not start before requests that could have started already', () => {
  const driver = new Driver(makeScheduler({ queueLengthMax: 2, minShare }));
  const tiers = [[capacity('p/m', cooling(5000))]];
  for (const name of ['first', 'second']) driver.submit(applicant(name, tiers, { class: 'normal', client: 'many' }));
  // The cooldown is over, and the poll that would notice it is late.
  driver.now = 5000;
  driver.submit(applicant('newcomer', tiers, { class: 'normal', client: 'other' }));
  assert.deepEqual(driver.refused.map(({ name }) => name), ['second']); // prettier-ignore
  assert.deepEqual(driver.names, ['first']);
});
