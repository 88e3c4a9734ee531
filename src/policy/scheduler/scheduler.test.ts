/** Starts, refusals and ends of waits; the order has a file of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Settlement } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Cooldown } from '../cooldown/cooldown.ts';
import { applicant, capacity, cooling, Driver, makeScheduler, oneBusySlot, requests, slots, tokens } from './scheduler.fixture.ts';

const SUCCESS: Settlement = { usage: null, health: 'success' };

test('starts at once where every resource of the target is free, and takes from each', () => {
  const driver = new Driver();
  const [bucket, limiter] = [requests(10), slots(3)];
  driver.submit(applicant('a', [[capacity('p/m', bucket, limiter)]]));
  assert.deepEqual(driver.started, [{ name: 'a', target: 'p/m', at: 0 }]);
  assert.deepEqual([bucket.available(0), limiter.inUse, driver.scheduler.length], [9, 1, 0]);
});

test('onStart is called for every start: a chosen one, the only possible one, or one after a wait', () => {
  const started: string[] = [];
  const driver = new Driver(makeScheduler({ onStart: (target) => started.push(target.key) }));
  const [a, b] = [capacity('a/m', slots(1)), capacity('b/m', slots(1))];
  const tiers = [[a, b]];
  for (const name of ['x', 'y', 'z']) driver.submit(applicant(name, tiers));
  assert.deepEqual(started, ['a/m', 'b/m']);
  driver.settle('x');
  assert.deepEqual(started, ['a/m', 'b/m', 'a/m']);
});

test('a request that cannot start in time is refused at once, with the instant at which it could and what blocks it', () => {
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

test('a request above every limit is refused at once without an instant', () => {
  const driver = new Driver();
  driver.submit(applicant('x', [[capacity('p/m', tokens(100))]], { tokens: 101 }));
  assert.deepEqual(
    [driver.refused[0]!.refusal.why, driver.refused[0]!.refusal.earliest, driver.refused[0]!.refusal.limited],
    ['infeasible', null, false],
  );
});

test('a request blocked by an open breaker does not count as limited', () => {
  const driver = new Driver();
  const pause = new Cooldown('pause', 'pause', createSeededRandom(1));
  pause.coolUntil(20_000);
  driver.submit(applicant('x', [[capacity('p/m', pause)]], { deadline: 5000 }));
  assert.equal(driver.refused[0]!.refusal.limited, false);
  driver.submit(applicant('y', [[capacity('p/m', pause)], [capacity('q/m', cooling(9000))]], { deadline: 5000 }));
  assert.equal(driver.refused[1]!.refusal.limited, true);
});

test('a request that waits only for other permits to end gets no instant', () => {
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

test('a request past its start deadline starts if it can at once, and does not wait', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  driver.now = 100;
  driver.submit(applicant('first', tiers, { deadline: 90 }), applicant('second', tiers, { deadline: 100 }));
  assert.deepEqual(driver.names, ['first']);
  assert.deepEqual([driver.refused[0]!.name, driver.refused[0]!.at], ['second', 100]);
});

test('a request beyond the length of the queue is refused', () => {
  const driver = new Driver(makeScheduler({ queueLengthMax: 2 }));
  const { tiers } = oneBusySlot(driver);
  for (const name of ['a', 'b', 'c']) driver.submit(applicant(name, tiers));
  assert.deepEqual(
    driver.refused.map(({ name, refusal }) => [name, refusal.why]),
    [['c', 'queue_full']],
  );
  assert.equal(driver.scheduler.length, 2);
});

test('a cancelled request is never started, and what it held is free', () => {
  const driver = new Driver();
  const bucket = tokens(6000);
  const tiers = [[capacity('p/m', bucket)]];
  const large = applicant('large', tiers, { tokens: 5000 });
  driver.submit(applicant('first', tiers, { tokens: 3000 }), large, applicant('small', tiers, { tokens: 10 }));
  assert.deepEqual(driver.names, ['first']);
  assert.equal(driver.scheduler.cancel(driver.now, large), true);
  assert.equal(driver.scheduler.cancel(driver.now, large), false);
  driver.advanceTo(1);
  assert.deepEqual(driver.names, ['first', 'small']);
  assert.deepEqual([driver.scheduler.length, driver.scheduler.wakeAt], [0, Infinity]);
});

test('a cooldown within the limit is waited for, a longer one is refused', () => {
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

test('a client at its own limit does not delay others', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(5))]];
  const own = [requests(1, 'own')];
  driver.submit(applicant('a1', tiers, { client: 'a', own }), applicant('a2', tiers, { client: 'a', own }));
  driver.submit(applicant('b1', tiers, { client: 'b' }), applicant('b2', tiers, { client: 'b' }));
  assert.deepEqual(driver.names, ['a1', 'b1', 'b2']);
  driver.advanceTo(61_000);
  assert.deepEqual(driver.names, ['a1', 'b1', 'b2', 'a2']);
});

test('a client at its own limit holds nothing of the target, even if the target was short before', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  const own = [requests(1, 'own')];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`${i}`, tiers, { client: 'b' }));
  const elsewhere = [[capacity('q/m')]];
  driver.submit(applicant('a1', tiers, { client: 'a', own })); // waits for the target, its own limit is free
  driver.submit(applicant('elsewhere', elsewhere, { client: 'a', own })); // uses up the client's limit
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

test('later attempts, which take nothing of the client’s limit, pass first attempts that it blocks', () => {
  const driver = new Driver();
  const own = [requests(1, 'own')];
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('a1', tiers, { own }), applicant('a2', tiers, { own, deadline: 500_000 }), applicant('again', tiers, {}));
  driver.settle('a1');
  assert.deepEqual(driver.names, ['a1', 'again']);
});

test('a request’s own backoff is respected, and does not block those behind it', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('again', tiers, { notBefore: () => 700, deadline: 9000 }), applicant('other', tiers));
  assert.deepEqual(driver.names, ['other']);
  driver.settle('other');
  driver.advanceTo(1000);
  assert.deepEqual(driver.started[1], { name: 'again', target: 'p/m', at: 700 });
});

test('a target that must not be called again is skipped', () => {
  const driver = new Driver();
  const tiers = [[capacity('a/m'), capacity('b/m')]];
  driver.submit(applicant('x', tiers, { notBefore: (target) => (target.key === 'a/m' ? Infinity : 0) }));
  assert.equal(driver.started[0]!.target, 'b/m');
});

test('a request that fits no free target does not block smaller ones behind it', () => {
  const driver = new Driver();
  const tiers = [[capacity('small', tokens(100, 'small')), capacity('large', slots(1), tokens(1e6, 'large'))]];
  driver.submit(applicant('running', [[tiers[0]![1]!]]));
  driver.submit(applicant('large', tiers, { tokens: 5000, deadline: 9000 }), applicant('small', tiers, { tokens: 10 }));
  assert.deepEqual(driver.started[1], { name: 'small', target: 'small', at: 0 });
});

test('when a breaker opens, waiting requests for which it stays open too long are refused', () => {
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

test('reports the waiting requests of each class and the longest wait', () => {
  const driver = new Driver();
  const { tiers } = oneBusySlot(driver);
  driver.submit(applicant('a', tiers, { class: 'low' }));
  driver.now = 300;
  driver.submit(applicant('b', tiers, { class: 'high' }), applicant('c', tiers, { class: 'low' }));
  assert.deepEqual([driver.scheduler.waiting('low'), driver.scheduler.waiting('high'), driver.scheduler.oldestMs(400)], [2, 1, 400]);
  driver.settle('running');
  driver.running.get('b')!.permit.settle(300, SUCCESS);
});

test('reports the groups of waiting requests, the largest first, and when a new request to each would start', () => {
  const driver = new Driver();
  const [fast, slow] = [requests(60, 'fast'), requests(6, 'slow')];
  const quick = [[capacity('p/quick', fast)]];
  const either = [[capacity('p/slow', slow)], [capacity('p/slower', slow)]];
  for (let i = 0; i < 60; i++) driver.submit(applicant(`quick ${i}`, quick));
  for (let i = 0; i < 6; i++) driver.submit(applicant(`slow ${i}`, either));
  driver.submit(...['a', 'b'].map((client) => applicant(client, either, { client, deadline: 500_000 })));
  driver.now = 500;
  driver.submit(...['c', 'd', 'e'].map((name) => applicant(name, quick, { class: 'high', deadline: 400_000 })));
  driver.submit(applicant('f', quick, { class: 'low', deadline: 400_000 }));
  const { groups, others } = driver.scheduler.survey(600, 2);
  assert.equal(others, 1);
  assert.deepEqual(
    groups.map(({ class: name, waiting, first, since, waitUntil }) => [name, waiting, first.tiers, since, waitUntil]),
    [
      ['high', 3, quick, 500, 400_000],
      ['normal', 2, either, 0, 500_000],
    ],
  );
  for (const [i, expected] of [4_000, 30_000].entries()) {
    const at = groups[i]!.newcomerAt!;
    assert.ok(Math.abs(at - expected) < 0.05 * expected, `${at}`);
  }
  assert.equal(driver.scheduler.length, 6);
});

test('the cost of that report does not depend on the number of waiting requests', () => {
  const costs = [10, 1_000].map((waiting) => {
    const driver = new Driver();
    const { tiers } = oneBusySlot(driver);
    let asked = 0;
    const need = { requests: 1, inputTokens: 1, outputTokens: 0 };
    for (let i = 0; i < waiting; i++) {
      driver.scheduler.submit(0, { ...applicant(`${i}`, tiers, { deadline: 1e6 + i }), needOn: () => (asked++, need) });
    }
    asked = 0;
    assert.equal(driver.scheduler.survey(1, 50).groups[0]!.waiting, waiting);
    assert.equal(driver.scheduler.oldestMs(1), 1);
    return asked;
  });
  assert.ok(costs[0]! > 0 && costs[0] === costs[1], costs.join(' '));
});
