/** Routes that share a resource, and new requests behind waiting ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestApplicant } from './scheduler.fixture.ts';
import { applicant, capacity, cooling, Driver, makeScheduler, requests, slots, tokens } from './scheduler.fixture.ts';

test('clients alternate on a slot that their routes share', () => {
  const driver = new Driver();
  const slot = slots(1);
  const routes = [0, 1, 2].map((i) => [[capacity(`p/${i}`, slot)]]);
  driver.submit(applicant('running', routes[0]!));
  for (let i = 0; i < 20; i++)
    driver.submit(applicant(`a${i}`, routes[0]!, { client: 'a' }), applicant(`b${i}`, routes[1]!, { client: 'b' }));
  driver.submit(applicant('b', routes[2]!, { client: 'b' }));
  for (let i = 0; i < 20; i++) driver.settle(driver.names.at(-1)!);
  assert.equal(driver.names.filter((name) => name.startsWith('a')).length, 10);
});

test('a lower class keeps its share of a slot on a route of its own, and gains nothing from starts elsewhere', () => {
  const driver = new Driver(makeScheduler({ minShare: { low: 0.05 } }));
  const [slot, elsewhere] = [slots(1), slots(1, 'elsewhere')];
  const [one, other, third] = [[[capacity('p/1', slot)]], [[capacity('p/2', slot)]], [[capacity('p/3', elsewhere)]]];
  driver.submit(applicant('running', one), applicant('there', third));
  for (let i = 0; i < 400; i++) driver.submit(applicant(`high${i}`, one, { class: 'high' }), applicant(`low${i}`, other, { class: 'low' }));
  for (let i = 0; i < 100; i++) driver.submit(applicant(`there${i}`, third, { class: 'high' }));
  for (let i = 0; i < 200; i++) {
    const here = driver.names.findLast((name) => !name.startsWith('there'))!;
    driver.settle(here);
    const there = driver.names.findLast((name) => name.startsWith('there') && driver.running.has(name));
    if (there !== undefined) driver.settle(there);
  }
  const low = driver.names.filter((name) => name.startsWith('low')).length;
  assert.ok(low === 9 || low === 10, `${low}`); // one in 21
});

test('a large request that waits for one target does not block requests that do not need what it lacks', () => {
  const driver = new Driver();
  const shared = requests(600);
  const [tight, wide] = [[[capacity('tight', shared, tokens(6000))]], [[capacity('wide', shared)]]];
  driver.submit(applicant('first', tight, { tokens: 6000 }), applicant('large', tight, { tokens: 5000 }));
  for (let i = 0; i < 50; i++) driver.submit(applicant(`small${i}`, wide));
  assert.equal(driver.started.length, 51);
});

test('a request behind more than can start in time is refused at once, with the instant at which it could have started', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, tiers));
  for (let i = 0; i < 100; i++) driver.submit(applicant(`waits${i}`, tiers, { deadline: 30_000 }));
  assert.ok(driver.refused.every(({ at, refusal }) => at === 0 && refusal.why === 'infeasible' && refusal.limited));
  assert.ok(driver.scheduler.length >= 29 && driver.scheduler.length <= 30, `${driver.scheduler.length}`);
  const { earliest } = driver.refused.at(-1)!.refusal;
  assert.ok(earliest! >= 30_000 && earliest! <= 31_200, `${earliest}`);
  driver.advanceTo(30_000);
  assert.equal(driver.refused.filter(({ at }) => at > 0).length, 0);
});

test('a higher class and an earlier deadline are only checked against the requests ahead of them', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, tiers));
  for (let i = 0; i < 24; i++) driver.submit(applicant(`waits${i}`, tiers, { deadline: 30_000 }));
  driver.submit(applicant('high', tiers, { class: 'high', deadline: 2000 }), applicant('hasty', tiers, { deadline: 5000 }));
  assert.equal(driver.refused.length, 0);
  driver.advanceTo(5000);
  assert.deepEqual(driver.names.slice(60, 62), ['high', 'hasty']);
});

test('a long queue for one model’s own limit does not count against another model of the same key', () => {
  const driver = new Driver();
  const shared = requests(600);
  const [tight, wide] = [[[capacity('tight', shared, requests(6, 'own'))]], [[capacity('wide', shared)]]];
  for (let i = 0; i < 106; i++) driver.submit(applicant(`tight${i}`, tight));
  for (let i = 0; i < 594; i++) driver.submit(applicant(`wide${i}`, wide));
  driver.submit(applicant('next', wide, { deadline: 2000 }));
  assert.equal(driver.refused.length, 0);
  driver.advanceTo(2000);
  assert.ok(driver.names.includes('next'));
});

test('on a concurrency limit the rate of starts is learned, and requests beyond twice that rate are refused', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('0', tiers));
  for (let i = 1; i <= 20; i++) driver.submit(applicant(`${i}`, tiers));
  for (let i = 0; i < 12; i++) {
    driver.now += 1000;
    driver.settle(`${i}`);
  }
  for (let i = 0; i < 100; i++)
    driver.submit(applicant(`late${i}`, tiers, { deadline: driver.now + 20_000, waitUntil: driver.now + 20_000 }));
  assert.ok(driver.refused.length > 50 && driver.scheduler.length >= 20, `${driver.refused.length}`);
  assert.ok(driver.refused.every(({ refusal }) => refusal.earliest! > driver.now + 20_000));
});

test('a raised request moves to the position of its more urgent caller, and waits as long as the more patient one', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  const raised = applicant('raised', tiers, { class: 'low', deadline: 5000, waitUntil: 5000 });
  driver.submit(applicant('running', tiers), applicant('normal', tiers), raised);
  assert.equal(driver.scheduler.raise(0, raised, { class: 'high', waitUntil: 9000 }), true);
  driver.poll();
  driver.advanceTo(6000);
  assert.deepEqual([driver.refused, driver.scheduler.waiting('low'), driver.scheduler.waiting('high')], [[], 0, 1]);
  driver.settle('running');
  assert.deepEqual(driver.names, ['running', 'raised']);
  assert.equal(driver.scheduler.raise(6000, raised, { class: 'high' }), false);
});

test('behind a raised request that waits past its deadline the others are refused when their own waits end', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  const raised = applicant('raised', tiers, { deadline: 5000, waitUntil: 5000 });
  driver.submit(applicant('running', tiers), raised, applicant('before', tiers, { deadline: 6000, waitUntil: 6000 }));
  driver.scheduler.raise(0, raised, { waitUntil: 20_000 });
  driver.poll();
  driver.submit(applicant('after', tiers, { deadline: 7000, waitUntil: 7000 }));
  for (const [at, names] of [
    [5999, []],
    [6000, ['before']],
    [7000, ['before', 'after']],
    [19_999, ['before', 'after']],
    [20_000, ['before', 'after', 'raised']],
  ] as const) {
    driver.advanceTo(at);
    assert.deepEqual(
      driver.refused.map(({ name }) => name),
      names,
    );
  }
  assert.equal(driver.scheduler.length, 0);
});

test('no request is lost with deadlines and waits of any kind', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('running', tiers));
  driver.submit(applicant('endless', tiers, { deadline: Infinity, waitUntil: Infinity }));
  driver.submit(applicant('negative', tiers, { deadline: 100, waitUntil: -5 }), applicant('past', tiers, { deadline: -1 }));
  assert.deepEqual(
    driver.refused.map(({ name }) => name),
    ['negative', 'past'],
  );
  driver.settle('running');
  assert.deepEqual([driver.names.at(-1), driver.scheduler.length, driver.scheduler.wakeAt], ['endless', 0, Infinity]);
});

test('jobs leave a fifth of a limit free while other classes are active, and use all of it a minute later', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(10))]];
  driver.submit(applicant('someone', tiers));
  driver.settle('someone');
  for (let i = 0; i < 12; i++) driver.submit(applicant(`job${i}`, tiers, { class: 'job' }));
  assert.equal(driver.running.size, 8);
  driver.submit(applicant('next', tiers), applicant('after', tiers));
  assert.equal(driver.running.size, 10);
  driver.settle('next');
  assert.equal(driver.running.size, 9);
  driver.advanceTo(61_000);
  driver.settle('after');
  assert.equal(driver.running.size, 10);
});

test('a large request starts as soon as its tokens are available, however many small ones arrive', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', tokens(60_000))]];
  driver.submit(applicant('first', tiers, { tokens: 60_000 }), applicant('large', tiers, { tokens: 50_000, client: 'a' }));
  for (let at = 10; at < 55_000; at += 10) {
    driver.advanceTo(at);
    driver.submit(applicant(`small${at}`, tiers, { tokens: 100, client: 'b', deadline: at + 100_000 }));
  }
  const large = driver.started.find(({ name }) => name === 'large');
  assert.ok(large !== undefined && large.at < 51_000, `${large?.at}`); // 50 s of refill, whatever else waits
});

test('a lower class leaves headroom in a rate limit for a higher one that is active now and then', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, tiers));
  for (let i = 0; i < 30; i++) driver.submit(applicant(`normal${i}`, tiers, { deadline: 100_000 }));
  driver.submit(applicant('high', tiers, { class: 'high' }));
  driver.advanceTo(20_000);
  const at = driver.now;
  for (let i = 0; i < 5; i++) driver.submit(applicant(`later${i}`, tiers, { class: 'high' }));
  assert.ok(driver.started.filter(({ name, at: startedAt }) => name.startsWith('later') && startedAt === at).length >= 5);
});

test('a job that waits in one queue is served although another queue becomes empty at the same moment', () => {
  const driver = new Driver();
  const slot = slots(2);
  const [own, limit] = [requests(2, 'own'), requests(2, 'limit')];
  const [mine, other] = [[[capacity('p/mine', slots(9, 'wide'))]], [[capacity('p/other', limit, slot)]]];
  driver.submit(applicant('0', mine, { own: [own] }), applicant('1', mine, { own: [own] }));
  driver.submit(applicant('2', other), applicant('3', other));
  driver.settle('2');
  driver.submit(applicant('mine', mine, { class: 'job', own: [own] }), applicant('other', other, { class: 'job' }));
  driver.advanceTo(40_000);
  const at = new Map(driver.started.map((start) => [start.name, start.at]));
  assert.ok(at.get('mine')! > 0 && at.get('mine') === at.get('other'), `${at.get('mine')} and ${at.get('other')}`);
});

test('a request for which a target is too small, or impossible, does not block those behind it from that target', () => {
  for (const wish of [{ tokens: 2000 }, { notBefore: (target: { key: string }) => (target.key === 'p/small' ? Infinity : -Infinity) }]) {
    const driver = new Driver();
    const pause = cooling(10_000);
    const tiers = [[capacity('p/small', tokens(1000), slots(1)), capacity('p/large', pause)]];
    driver.submit(applicant('running', tiers), applicant('first', tiers, { deadline: 20_000, ...wish }));
    driver.submit(applicant('behind', tiers, { deadline: 30_000 }));
    driver.settle('running');
    assert.deepEqual(driver.names, ['running', 'behind']);
  }
});

/** `high` has used half of a limit of 60 per minute for a minute, and `normal` has waited: the headroom exists and is full. */
function withHeadroom(clients: readonly string[]): { driver: Driver; tiers: TestApplicant['tiers'] } {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`first${i}`, tiers));
  for (let i = 0; i < 400; i++) driver.submit(applicant(`far${i}`, tiers, { client: clients[i % clients.length]!, deadline: 1e6 + i }));
  for (let second = 2; second <= 60; second += 2) {
    driver.advanceTo(second * 1000);
    driver.submit(applicant(`high${second}`, tiers, { class: 'high' }));
  }
  return { driver, tiers };
}

test('a request with time leaves the headroom to a higher class, and one that would soon be late uses it', () => {
  const { driver, tiers } = withHeadroom(['x']);
  driver.submit(...Array.from({ length: 4 }, (_, i) => applicant(`now${i}`, tiers, { class: 'high' })));
  assert.ok(
    [0, 1, 2, 3].every((i) => driver.names.includes(`now${i}`)),
    'the headroom is for them',
  );
  const before = driver.started.length;
  driver.submit(applicant('hasty', tiers, { client: 'x', deadline: driver.now + 900 }));
  driver.poll();
  assert.deepEqual(driver.names.slice(before), ['hasty']);
});

test('an urgent request uses the headroom although its client is served later, once those ahead of it have started', () => {
  const { driver, tiers } = withHeadroom(['x', 'y']);
  driver.submit(applicant('hasty', tiers, { client: 'y', deadline: driver.now + 4000 }));
  driver.advanceTo(driver.now + 4000);
  assert.ok(driver.names.includes('hasty'));
});
