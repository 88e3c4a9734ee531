import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { applicant, capacity, Driver, oneBusySlot, requests } from './scheduler.fixture.ts';
import type { TestApplicant, Wish } from './scheduler.fixture.ts';

/** This many requests of a session, named after it with a number. */
function of(session: string | undefined, many: number, tiers: TestApplicant['tiers'], wish: Wish = {}): TestApplicant[] {
  const named = session === undefined ? {} : { session };
  return Array.from({ length: many }, (_, i) => applicant(`${session ?? 'none'}${i}`, tiers, { ...named, ...wish }));
}

function startAll(driver: Driver, next: () => void): string[] {
  for (let i = 0; i < 100; i++) next();
  return driver.names.slice(1);
}

test('the sessions of a client alternate, however many requests each has', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(...of('a', 5, tiers), ...of('b', 2, tiers), ...of('c', 1, tiers));
  assert.deepEqual(startAll(driver, next), ['a0', 'b0', 'c0', 'a1', 'b1', 'a2', 'a3', 'a4']);
});

test('a session that has used more tokens waits for the others', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(...of('large', 3, tiers, { tokens: 300 }), ...of('small', 5, tiers, { tokens: 100 }));
  assert.deepEqual(startAll(driver, next), ['large0', 'small0', 'small1', 'small2', 'large1', 'small3', 'small4', 'large2']);
});

test('requests without a session form one session', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(...of(undefined, 3, tiers), ...of('a', 2, tiers));
  assert.deepEqual(startAll(driver, next), ['none0', 'a0', 'none1', 'a1', 'none2']);
});

test('within a session the earliest deadline goes first', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(applicant('late', tiers, { session: 'a', deadline: 9e6 }), applicant('soon', tiers, { session: 'a', deadline: 8e6 }));
  driver.submit(applicant('soonest', tiers, { session: 'b', deadline: 7e6 }), applicant('last', tiers, { session: 'b', deadline: 7.5e6 }));
  assert.deepEqual(startAll(driver, next), ['soonest', 'soon', 'last', 'late']);
});

test('more sessions do not give their client a larger share', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  for (const session of ['a', 'b', 'c']) driver.submit(...of(session, 2, tiers, { client: 'many' }));
  driver.submit(...of('x', 4, tiers, { client: 'one' }));
  const started = startAll(driver, next).slice(0, 6);
  assert.equal(started.filter((name) => name.startsWith('x')).length, 3, started.join(' '));
});

test('the main request of a session goes before its sub-agents, and those after other sessions with the same usage', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(...of('a', 3, tiers, { isSide: true, deadline: 1e6 }), ...of('b', 2, tiers));
  driver.submit(applicant('main', tiers, { session: 'a', deadline: 2e6 }));
  assert.deepEqual(startAll(driver, next), ['main', 'b0', 'b1', 'a0', 'a1', 'a2']);
});

test('a session gains nothing while it is absent', () => {
  const driver = new Driver();
  const { tiers, next } = oneBusySlot(driver);
  driver.submit(...of('old', 1, tiers), ...of('busy', 8, tiers));
  for (let i = 0; i < 5; i++) next();
  driver.submit(...of('old', 3, tiers).map((each, i) => ({ ...each, name: `again${i}` })));
  assert.deepEqual(startAll(driver, next).slice(5), ['again0', 'busy4', 'again1', 'busy5', 'again2', 'busy6', 'busy7']);
});

test('a session with a long queue does not cause the first request of another one to be refused', () => {
  const driver = new Driver();
  const tiers = [[capacity('p/m', requests(60))]];
  driver.submit(...of('first', 60, tiers)); // everything that is available at once; then one per second
  driver.submit(...of('heavy', 10, tiers, { deadline: 10_500 }));
  driver.submit(applicant('light', tiers, { session: 'light', deadline: 3_500 }));
  assert.deepEqual(driver.refused, []);
  driver.advanceTo(4_000);
  assert.ok(driver.names.includes('light'), driver.names.join(' '));
});

test('every request of sessions that wait for several targets starts', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = createSeededRandom(seed);
    const draw = (many: number): number => Math.floor(random.next() * many);
    const driver = new Driver();
    const shared = requests(6000, 'shared');
    const tierings = [0, 1, 2].map((i) => [[capacity(`p/m${i}`, shared)]]);
    let made = 0;
    for (let step = 0; step < 60; step++) {
      for (let i = draw(6); i > 0; i--) {
        const session = `s${draw(4)}`;
        driver.submit(applicant(`${session}-${made++}`, tierings[draw(3)]!, { session, isSide: draw(2) === 0, tokens: 1 + draw(50) }));
      }
      driver.advanceTo(driver.now + draw(40));
    }
    driver.advanceTo(driver.now + 60_000);
    assert.equal(driver.started.length, made, `seed ${seed}`);
    assert.equal(driver.scheduler.length, 0);
  }
});
