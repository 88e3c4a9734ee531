/** A tier of last resort waits for better tiers until its own time, and takes over where their rate is too low. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applicant, capacity, cooling, Driver, slots } from './scheduler.fixture.ts';
import type { TestApplicant, Wish } from './scheduler.fixture.ts';

const local = (concurrency = 1) => ({ ...capacity('local/m', slots(concurrency, 'local')), isLastResort: true });

function asks(name: string, tiers: TestApplicant['tiers'], wish: Wish & { readonly lastResortAt: number }): TestApplicant {
  return { ...applicant(name, tiers, wish), lastResortAt: wish.lastResortAt };
}

test('a busy better tier is preferred until the last resort has to start, whatever the patience', () => {
  const driver = new Driver();
  const better = capacity('p/m', slots(1));
  const tiers = [[better], [local()]];
  driver.submit(applicant('running', [[better]]));
  driver.submit(asks('x', tiers, { patienceMs: 1000, deadline: 10_000, lastResortAt: 9_000 }));
  driver.advanceTo(8_999);
  assert.deepEqual(driver.names, ['running']);
  driver.advanceTo(9_000);
  assert.deepEqual(driver.started.at(-1), { name: 'x', target: 'local/m', at: 9_000 });
});

test('a better tier that opens before that is used', () => {
  const driver = new Driver();
  const better = capacity('p/m', slots(1));
  driver.submit(applicant('running', [[better]]));
  driver.submit(asks('x', [[better], [local()]], { patienceMs: 0, deadline: 10_000, lastResortAt: 9_000 }));
  driver.advanceTo(8_000);
  driver.settle('running');
  assert.deepEqual(driver.started.at(-1), { name: 'x', target: 'p/m', at: 8_000 });
});

test('a better tier that opens later than that is not waited for', () => {
  const driver = new Driver();
  driver.submit(asks('x', [[capacity('p/m', cooling(9_500))], [local()]], { deadline: 10_000, lastResortAt: 9_000 }));
  assert.deepEqual(driver.started, [{ name: 'x', target: 'local/m', at: 0 }]);
});

test('the patience applies among better tiers', () => {
  const driver = new Driver();
  const [first, second] = [capacity('a/m', slots(1)), capacity('b/m', slots(1))];
  driver.submit(applicant('running', [[first]]));
  driver.submit(asks('x', [[first], [second], [local()]], { patienceMs: 1000, deadline: 10_000, lastResortAt: 9_000 }));
  driver.advanceTo(2_000);
  assert.deepEqual(driver.started.at(-1), { name: 'x', target: 'b/m', at: 1_000 });
});

test('where the better tier cannot start all waiting requests in time, the last resort is used at once', () => {
  for (const [waiting, deadline, helps] of [
    [30, 20_000, true],
    [30, 60_000, false],
  ] as const) {
    const driver = new Driver();
    const better = capacity('p/m', slots(1));
    const tiers = [[better], [local()]];
    driver.submit(applicant('running', [[better]]));
    for (let i = 0; i < waiting; i++) driver.submit(asks(`x${i}`, tiers, { deadline, lastResortAt: deadline - 1_000 }));
    // One start per second: the pace is known after nine of them.
    let current = 'running';
    for (let second = 1; second <= 12; second++) {
      driver.advanceTo(second * 1_000 - 500);
      driver.settle(current);
      current = driver.started.findLast(({ target }) => target === 'p/m')!.name;
    }
    assert.equal(
      driver.started.some(({ target, at }) => target === 'local/m' && at < deadline - 1_000),
      helps,
      JSON.stringify(driver.started),
    );
  }
});
