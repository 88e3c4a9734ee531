import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Permit } from '../../core/permit.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { testResourceContract } from '../../core/resource.contract.ts';
import { Bench, BENCH_MAX_MS } from './bench.ts';

const MINUTE = 60_000;
const NEED: Need = { requests: 1, inputTokens: 10, outputTokens: 10 };
const ended = (health: Settlement['health']): Settlement => ({ usage: null, health });
const start = (bench: Bench, now: number) => Permit.reserve(now, NEED, [bench]);

testResourceContract('a credential in order', () => new Bench('p#1'));
testResourceContract('a benched credential', (now) => {
  const bench = new Bench('p#1');
  bench.strike(now, 5000);
  return bench;
});

test('a credential in order lets everybody through', () => {
  const bench = new Bench('p#1');
  for (let i = 0; i < 100; i++) start(bench, 0);
  assert.equal(bench.earliest(0), 0);
  assert.equal(bench.remainingMs(0), 0);
});

test('a refused one is out for its time, then one request at a time tries it', () => {
  const bench = new Bench('p#1');
  assert.equal(bench.strike(1000, 5000), 5000);
  assert.equal(bench.earliest(1000), 6000);
  assert.equal(bench.remainingMs(2000), 4000);
  const trial = start(bench, 6000);
  assert.equal(bench.earliest(6000), WHEN_SETTLED);
  trial.settle(7000, ended('success'));
  for (let i = 0; i < 10; i++) start(bench, 7000);
  assert.equal(bench.earliest(7000), 7000);
});

for (const health of ['neutral', 'failure'] as const) {
  test(`a trial that says nothing of the credential (${health}) lets the next one try`, () => {
    const bench = new Bench('p#1');
    bench.strike(0, 5000);
    start(bench, 5000).settle(6000, ended(health));
    assert.equal(bench.earliest(6000), 6000);
    start(bench, 6000).cancel(6500);
    start(bench, 6500);
    assert.equal(bench.earliest(6500), WHEN_SETTLED);
  });
}

test('an answer that begins proves it before it has ended', () => {
  const bench = new Bench('p#1');
  assert.equal(bench.prove(), false);
  bench.strike(0, 5000);
  assert.equal(bench.prove(), false, 'an answer to an older request says nothing');
  const trial = start(bench, 5000);
  assert.equal(bench.prove(), true);
  assert.equal(bench.earliest(5000), 5000);
  trial.settle(9000, ended('failure'));
  assert.equal(bench.earliest(9000), 9000);
});

test('it is out for twice as long each time, up to the maximum, and a success forgives all', () => {
  const bench = new Bench('p#1');
  const out: number[] = [];
  let now = 0;
  for (let i = 0; i < 6; i++) {
    const permit = start(bench, now);
    out.push(bench.strike(now, 5 * MINUTE)! / MINUTE);
    permit.settle(now, ended('neutral'));
    now = bench.earliest(now);
  }
  assert.deepEqual(out, [5, 10, 20, 40, 60, 60]);
  start(bench, now).settle(now, ended('success'));
  assert.equal(bench.strike(now, 5 * MINUTE), 5 * MINUTE);
});

test("the provider's own word may be longer than the maximum, and never shortens", () => {
  const bench = new Bench('p#1');
  assert.equal(bench.strike(0, MINUTE, 3 * BENCH_MAX_MS), 3 * BENCH_MAX_MS);
  assert.equal(bench.strike(10, MINUTE, MINUTE), null);
  assert.equal(bench.remainingMs(10), 3 * BENCH_MAX_MS - 10);
  assert.equal(bench.strike(10, MINUTE, 4 * BENCH_MAX_MS), 4 * BENCH_MAX_MS);
});

test('a hundred refusals of requests that were under way are one', () => {
  const bench = new Bench('p#1');
  const permits = Array.from({ length: 100 }, () => start(bench, 0));
  const told = permits.map((permit, i) => {
    const forMs = bench.strike(100 + i, 5 * MINUTE);
    permit.settle(100 + i, ended('neutral'));
    return forMs;
  });
  assert.deepEqual(
    told.filter((forMs) => forMs !== null),
    [5 * MINUTE],
  );
  assert.equal(bench.remainingMs(100), 5 * MINUTE);
});

test('a late success of a request from before does not lift it', () => {
  const bench = new Bench('p#1');
  const [refused, late] = [start(bench, 0), start(bench, 0)];
  bench.strike(100, 5000);
  refused.settle(100, ended('neutral'));
  late.settle(200, ended('success'));
  assert.equal(bench.earliest(200), 5100);
});

test('a reset by hand frees it at once; the next refusal is the first again', () => {
  const bench = new Bench('p#1');
  bench.strike(0, 5000);
  const trial = start(bench, 5000);
  bench.strike(5000, 5000);
  trial.settle(5000, ended('neutral'));
  bench.reset();
  assert.equal(bench.earliest(5001), 5001);
  start(bench, 5001);
  assert.equal(bench.earliest(5001), 5001);
  assert.equal(bench.strike(5001, 5000), 5000);
});

test('what is known outlives a restart: the time, the refusals, and that it is still to be tried', () => {
  const bench = new Bench('p#1');
  assert.equal(bench.save(0, 0), null);
  bench.strike(1000, 5000);
  const record = bench.save(2000, 1_000_000)!;
  assert.deepEqual(record, { untilEpochMs: 1_004_000, strikes: 1 });
  const early = new Bench('p#1');
  early.restore(50, 1_001_000, record);
  assert.equal(early.earliest(50), 3050);
  const late = new Bench('p#1');
  late.restore(50, 2_000_000, record);
  assert.equal(late.earliest(50), 50);
  start(late, 50);
  assert.equal(late.earliest(50), WHEN_SETTLED);
  assert.equal(late.strike(60, 5000), 10_000);
});

test('property: while it is to be tried at most one request is on the way, whatever happens', () => {
  const step = fc.constantFrom('start', 'success', 'failure', 'neutral', 'refused', 'cancel', 'wait', 'reset');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const bench = new Bench('p#1');
      let now = 0;
      let out = false; // benched, and nothing has been answered since
      let running: { permit: Permit; trial: boolean }[] = [];
      for (const what of steps) {
        now++;
        if (what === 'wait') now += 10_000;
        else if (what === 'reset') {
          bench.reset();
          out = false;
          for (const one of running) one.trial = false;
        } else if (what === 'start') {
          const at = bench.earliest(now);
          if (at !== now) continue;
          if (out) assert.equal(running.filter((one) => one.trial).length, 0);
          running.push({ permit: start(bench, now), trial: out });
        } else {
          const one = running.shift();
          if (one === undefined) continue;
          if (what === 'refused') {
            bench.strike(now, 1000);
            out = true;
            for (const other of running) other.trial = false;
          }
          if (what === 'cancel') one.permit.cancel(now);
          else one.permit.settle(now, ended(what === 'refused' ? 'neutral' : what));
          if (what === 'success' && one.trial) {
            out = false;
            for (const other of running) other.trial = false;
          }
        }
      }
      for (const { permit } of running.splice(0)) permit.settle(now, ended('neutral'));
      running = [];
      const at = bench.earliest(now);
      assert.ok(at !== WHEN_SETTLED && at < Infinity, 'nothing is left behind');
    }),
  );
});
