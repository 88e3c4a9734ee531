import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Permit } from '../../core/permit.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Settlement } from '../../core/resource.ts';
import { testResourceContract } from '../../core/resource.contract.ts';
import { Quarantine, QUARANTINE_MAX_MS, TRIAL_EVERY_MS } from './quarantine.ts';
import { SOLE_AFTER_MS } from './suspicion.ts';

const MINUTE = 60_000;
const NEED: Need = { requests: 1, inputTokens: 10, outputTokens: 10 };
const ended = (health: Settlement['health']): Settlement => ({ usage: null, health });
const start = (quarantine: Quarantine, now: number) => Permit.reserve(now, NEED, [quarantine]);

/** A running request is refused the credential. */
function refuse(quarantine: Quarantine, permit: Permit, now: number, quarantineMs: number, floorMs?: number): number | null {
  const forMs = quarantine.strike(now, permit.ticketOf(quarantine)!, quarantineMs, floorMs);
  if (permit.isOpen) permit.settle(now, ended('neutral'));
  return forMs;
}

/** A request starts now, and the credential is refused. */
const refused = (quarantine: Quarantine, now: number, quarantineMs: number, floorMs?: number) =>
  refuse(quarantine, start(quarantine, now), now, quarantineMs, floorMs);

testResourceContract('a credential in order', () => new Quarantine('p#1'));
testResourceContract('a quarantined credential', (now) => {
  const quarantine = new Quarantine('p#1');
  refused(quarantine, now, 5000);
  return quarantine;
});

test('a credential in order blocks no request', () => {
  const quarantine = new Quarantine('p#1');
  for (let i = 0; i < 100; i++) start(quarantine, 0);
  assert.equal(quarantine.earliest(0), 0);
  assert.equal(quarantine.remainingMs(0), 0);
});

test('a refused one is quarantined for its time, then one request at a time tries it', () => {
  const quarantine = new Quarantine('p#1');
  assert.equal(refused(quarantine, 1000, 5000), 5000);
  assert.equal(quarantine.earliest(1000), 6000);
  assert.equal(quarantine.remainingMs(2000), 4000);
  const trial = start(quarantine, 6000);
  assert.equal(quarantine.earliest(6000), WHEN_SETTLED);
  trial.settle(7000, ended('success'));
  for (let i = 0; i < 10; i++) start(quarantine, 7000);
  assert.equal(quarantine.earliest(7000), 7000);
});

for (const health of ['neutral', 'failure'] as const) {
  test(`a trial that says nothing about the credential (${health}) lets the next one try`, () => {
    const quarantine = new Quarantine('p#1');
    refused(quarantine, 0, 5000);
    start(quarantine, 5000).settle(6000, ended(health));
    assert.equal(quarantine.earliest(6000), 6000);
    start(quarantine, 6000).cancel(6500);
    start(quarantine, 6500);
    assert.equal(quarantine.earliest(6500), WHEN_SETTLED);
  });
}

test('a response that starts ends the quarantine before it is complete', () => {
  const quarantine = new Quarantine('p#1');
  const older = start(quarantine, 0);
  assert.equal(start(quarantine, 0).onFirstContent(0), false);
  refused(quarantine, 0, 5000);
  const trial = start(quarantine, 5000);
  assert.equal(older.onFirstContent(5000), false, 'a response to an older request proves nothing');
  assert.equal(quarantine.earliest(5000), WHEN_SETTLED);
  assert.equal(trial.onFirstContent(5000), true);
  assert.equal(quarantine.earliest(5000), 5000);
  trial.settle(9000, ended('failure'));
  assert.equal(quarantine.earliest(9000), 9000);
});

test('the time doubles with each refusal up to the maximum, and a success resets it', () => {
  const quarantine = new Quarantine('p#1');
  const out: number[] = [];
  let now = 0;
  for (let i = 0; i < 6; i++) {
    out.push(refused(quarantine, now, 5 * MINUTE)! / MINUTE);
    now = quarantine.earliest(now);
  }
  assert.deepEqual(out, [5, 10, 20, 40, 60, 60]);
  start(quarantine, now).settle(now, ended('success'));
  assert.equal(refused(quarantine, now, 5 * MINUTE), 5 * MINUTE);
});

test('an instant that the provider names may exceed the maximum, and never shortens the time', () => {
  const quarantine = new Quarantine('p#1');
  const [first, second, third] = [start(quarantine, 0), start(quarantine, 0), start(quarantine, 0)];
  assert.equal(refuse(quarantine, first, 0, MINUTE, 3 * QUARANTINE_MAX_MS), 3 * QUARANTINE_MAX_MS);
  assert.equal(refuse(quarantine, second, 10, MINUTE, MINUTE), null);
  assert.equal(quarantine.remainingMs(10), 3 * QUARANTINE_MAX_MS - 10);
  assert.equal(refuse(quarantine, third, 10, MINUTE, 4 * QUARANTINE_MAX_MS), 4 * QUARANTINE_MAX_MS);
});

test('a hundred refusals of concurrent requests count as one', () => {
  const quarantine = new Quarantine('p#1');
  const permits = Array.from({ length: 100 }, () => start(quarantine, 0));
  const durations = permits.map((permit, i) => refuse(quarantine, permit, 100 + i, 5 * MINUTE));
  assert.deepEqual(
    durations.filter((forMs) => forMs !== null),
    [5 * MINUTE],
  );
  assert.equal(quarantine.remainingMs(100), 5 * MINUTE);
});

test('a late success of an earlier request does not end it', () => {
  const quarantine = new Quarantine('p#1');
  const [early, late] = [start(quarantine, 0), start(quarantine, 0)];
  refuse(quarantine, early, 100, 5000);
  late.settle(200, ended('success'));
  assert.equal(quarantine.earliest(200), 5100);
});

test('a late refusal of a request from before its end does not quarantine it again', () => {
  const quarantine = new Quarantine('p#1');
  const [early, late, latest] = [start(quarantine, 0), start(quarantine, 0), start(quarantine, 0)];
  refuse(quarantine, early, 100, 5000);
  assert.equal(refuse(quarantine, late, 6000, 5000), null, 'its time is over, and no trial has started yet');
  assert.equal(quarantine.earliest(6000), 6000);
  start(quarantine, 6000).settle(6001, ended('success'));
  assert.equal(refuse(quarantine, latest, 7000, 5000), null);
  assert.equal(quarantine.earliest(7000), 7000);
});

test('a reset by hand ends it at once; the next refusal counts as the first', () => {
  const quarantine = new Quarantine('p#1');
  refused(quarantine, 0, 5000);
  refused(quarantine, 5000, 5000);
  quarantine.reset();
  assert.equal(quarantine.earliest(5001), 5001);
  start(quarantine, 5001);
  assert.equal(quarantine.earliest(5001), 5001);
  assert.equal(refused(quarantine, 5001, 5000), 5000);
});

test('the state survives a restart: the time, the refusals, and that a trial is pending', () => {
  const quarantine = new Quarantine('p#1');
  assert.equal(quarantine.save(0, 0), null);
  refused(quarantine, 1000, 5000);
  const record = quarantine.save(2000, 1_000_000)!;
  assert.deepEqual(record, { untilEpochMs: 1_004_000, strikes: 1 });
  const early = new Quarantine('p#1');
  early.restore(50, 1_001_000, record);
  assert.equal(early.earliest(50), 3050);
  const late = new Quarantine('p#1');
  late.restore(50, 2_000_000, record);
  assert.equal(late.earliest(50), 50);
  const trial = start(late, 50);
  assert.equal(late.earliest(50), WHEN_SETTLED);
  assert.equal(refuse(late, trial, 60, 5000), 10_000);
});

test('property: while a trial is pending at most one request runs, whatever happens', () => {
  const step = fc.constantFrom('start', 'success', 'failure', 'neutral', 'refused', 'cancel', 'wait', 'reset');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const quarantine = new Quarantine('p#1');
      let now = 0;
      let out = false; // quarantined, and nothing has been served since
      let running: { permit: Permit; trial: boolean }[] = [];
      for (const what of steps) {
        now++;
        if (what === 'wait') now += 10_000;
        else if (what === 'reset') {
          quarantine.reset();
          out = false;
          for (const one of running) one.trial = false;
        } else if (what === 'start') {
          const at = quarantine.earliest(now);
          if (at !== now) continue;
          if (out) assert.equal(running.filter((one) => one.trial).length, 0);
          running.push({ permit: start(quarantine, now), trial: out });
        } else {
          const one = running.shift();
          if (one === undefined) continue;
          if (what === 'refused') {
            if (quarantine.strike(now, one.permit.ticketOf(quarantine)!, 1000) !== null) {
              out = true;
              for (const other of running) other.trial = false;
            }
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
      const at = quarantine.earliest(now);
      assert.ok(at !== WHEN_SETTLED && at < Infinity, 'nothing stays blocked');
    }),
  );
});

const CAUSE = { reason: 'auth', status: 401, code: null, message: 'Unauthorized' } as const;
const needOf = (client: string, model = 'm'): Need => ({ ...NEED, source: { client, request: 1 }, model });
const request = (client: string) => ({ client, model: 'm', body: client });

/** Refused to the client now, in words that do not name the credential. */
function refusedUnclear(quarantine: Quarantine, now: number, client: string, body = client): number | null {
  const permit = Permit.reserve(now, needOf(client), [quarantine]);
  const ticket = permit.ticketOf(quarantine)!;
  const confirmed = quarantine.suspect(now, ticket, { ...request(client), body }, 'auth');
  const sole = confirmed === 'sole' ? request(client) : null;
  const forMs = confirmed === null ? null : quarantine.strikeInferred(now, ticket, 5 * MINUTE, 0, CAUSE, sole);
  permit.settle(now, ended('neutral'));
  return forMs;
}

function inferred(): Quarantine {
  const quarantine = new Quarantine('p#1');
  assert.equal(refusedUnclear(quarantine, 0, 'one'), null);
  assert.equal(refusedUnclear(quarantine, 0, 'two'), 5 * MINUTE);
  return quarantine;
}

test('during its time one trial may start every few seconds, one at a time; a cancelled one does not count', () => {
  const quarantine = new Quarantine('p#1');
  refused(quarantine, 0, 5 * MINUTE);
  assert.equal(quarantine.earliest(TRIAL_EVERY_MS - 1), 5 * MINUTE);
  assert.equal(quarantine.earliest(TRIAL_EVERY_MS), TRIAL_EVERY_MS);
  start(quarantine, TRIAL_EVERY_MS).cancel(TRIAL_EVERY_MS);
  const trial = start(quarantine, TRIAL_EVERY_MS);
  assert.equal(quarantine.earliest(TRIAL_EVERY_MS + 1), WHEN_SETTLED);
  trial.settle(TRIAL_EVERY_MS + 1, ended('neutral'));
  assert.equal(quarantine.earliest(TRIAL_EVERY_MS + 2), 5 * MINUTE);
  assert.equal(quarantine.remainingMs(TRIAL_EVERY_MS), 5 * MINUTE - TRIAL_EVERY_MS);
  start(quarantine, 2 * TRIAL_EVERY_MS).settle(2 * TRIAL_EVERY_MS, ended('success'));
  assert.deepEqual([quarantine.remainingMs(2 * TRIAL_EVERY_MS), quarantine.cause], [0, null]);
});

test('no trial starts before the instant that the provider named, nor after a restart', () => {
  const quarantine = new Quarantine('p#1');
  refused(quarantine, 0, 0, 10 * MINUTE);
  assert.equal(quarantine.earliest(9 * MINUTE), 10 * MINUTE);
  const restored = new Quarantine('p#1');
  restored.restore(0, 1_000_000, quarantine.save(0, 1_000_000)!);
  assert.equal(restored.earliest(9 * MINUTE), 10 * MINUTE);
  assert.equal(restored.earliest(10 * MINUTE), 10 * MINUTE);
});

test('requests wait for the first trial of an inferred quarantine, and its cause is recorded', () => {
  const quarantine = inferred();
  assert.equal(quarantine.earliest(1), TRIAL_EVERY_MS);
  assert.deepEqual(quarantine.cause, CAUSE);
  assert.deepEqual(quarantine.save(0, 0)!.cause, CAUSE);
  assert.equal(refusedUnclear(quarantine, TRIAL_EVERY_MS, 'three'), 10 * MINUTE);
  assert.equal(quarantine.earliest(TRIAL_EVERY_MS + 1), TRIAL_EVERY_MS + 10 * MINUTE);
});

test('refused trials of the clients that caused it confirm nothing at first; several of them do', () => {
  const quarantine = inferred();
  const durations: (number | null)[] = [];
  for (let i = 1; i <= 4; i++) durations.push(refusedUnclear(quarantine, i * TRIAL_EVERY_MS, i % 2 === 0 ? 'one' : 'two'));
  assert.deepEqual(durations, [null, null, null, 10 * MINUTE]);
});

test('when a trial is served, the clients that caused it no longer count; others still do', () => {
  const quarantine = inferred();
  start(quarantine, TRIAL_EVERY_MS).settle(TRIAL_EVERY_MS, ended('success'));
  for (let i = 0; i < 10; i++) assert.equal(refusedUnclear(quarantine, TRIAL_EVERY_MS + i, i % 2 === 0 ? 'one' : 'two'), null);
  assert.equal(refusedUnclear(quarantine, 2 * TRIAL_EVERY_MS, 'three'), null);
  assert.equal(refusedUnclear(quarantine, 2 * TRIAL_EVERY_MS, 'four'), 5 * MINUTE);
});

test('a refusal from before a quarantine or a response confirms nothing', () => {
  const quarantine = new Quarantine('p#1');
  const early = start(quarantine, 0).ticketOf(quarantine)!;
  refused(quarantine, 0, 5000);
  assert.equal(quarantine.suspect(1, early, request('one'), 'auth'), null);
  quarantine.reset();
  assert.equal(quarantine.suspect(1, early, request('one'), 'auth'), null);
  assert.equal(quarantine.isSuspect(1), false);
});

/** Inferred from three bodies of the client `one` for the model `m`. */
function inferredForOne(): Quarantine {
  const quarantine = new Quarantine('p#1');
  const durations = ['b1', 'b2', 'b3'].map((body, i) => refusedUnclear(quarantine, i === 0 ? -SOLE_AFTER_MS : 0, 'one', body));
  assert.deepEqual(durations, [null, null, 5 * MINUTE]);
  return quarantine;
}

test('one inferred from a single client blocks that client alone, for that model', () => {
  const quarantine = inferredForOne();
  assert.equal(quarantine.earliest(1, needOf('one')), TRIAL_EVERY_MS);
  assert.deepEqual(
    [quarantine.earliest(1, needOf('two')), quarantine.earliest(1, needOf('one', 'm2')), quarantine.earliest(1, NEED)],
    [1, 1, 1],
  );
  assert.deepEqual(
    [quarantine.isOutFor(1, 'one', 'm'), quarantine.isOutFor(1, 'two', 'm'), quarantine.isOutFor(1, 'one', 'm2')],
    [true, false, false],
  );
  for (let i = 0; i < 10; i++) Permit.reserve(1, needOf('two'), [quarantine]);
  assert.equal(quarantine.earliest(2, needOf('two')), 2, 'requests of others are no trials');
  assert.equal(quarantine.save(1, 0), null);
});

test('its client tries it every few seconds, and the time is extended when several trials are refused', () => {
  const quarantine = inferredForOne();
  const durations: (number | null)[] = [];
  for (let i = 1; i <= 4; i++) {
    assert.equal(quarantine.earliest(i * TRIAL_EVERY_MS, needOf('one')), i * TRIAL_EVERY_MS);
    durations.push(refusedUnclear(quarantine, i * TRIAL_EVERY_MS, 'one', `t${i}`));
  }
  assert.deepEqual(durations, [null, null, null, 10 * MINUTE]);
  assert.equal(quarantine.earliest(5 * TRIAL_EVERY_MS, needOf('two')), 5 * TRIAL_EVERY_MS);
  Permit.reserve(5 * TRIAL_EVERY_MS, needOf('one'), [quarantine]).settle(5 * TRIAL_EVERY_MS, ended('success'));
  assert.equal(quarantine.earliest(5 * TRIAL_EVERY_MS, needOf('one')), 5 * TRIAL_EVERY_MS);
});

test('a refusal of another client extends it to all, a response to another client ends it', () => {
  const refusedToo = inferredForOne();
  assert.equal(refusedUnclear(refusedToo, 1, 'two'), 5 * MINUTE);
  assert.ok(refusedToo.earliest(2, needOf('three')) > 2);
  assert.notEqual(refusedToo.save(2, 0), null);

  const served = inferredForOne();
  Permit.reserve(1, needOf('two'), [served]).settle(1, ended('success'));
  assert.deepEqual([served.earliest(1, needOf('one')), served.remainingMs(1)], [1, 0]);
});
