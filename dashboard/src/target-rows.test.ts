import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activity, stateWith, target } from './sample-state.ts';
import { targetRows } from './target-rows.ts';

const only = (...targets: ReturnType<typeof target>[]) => targetRows(stateWith({ targets, activity: [activity()] }))[0]!;

test('the keys of a target are one row with their limits summed', () => {
  const limits = [{ kind: 'requestsPerMinute', limit: 600, available: 100 }];
  const row = only(target({ limits, inFlight: 2 }), target({ credential: 2, limits, inFlight: 3 }));
  assert.deepEqual([row.keys, row.inFlight], [2, 5]);
  assert.deepEqual(row.limits, [{ label: 'req/min', used: 1_000, limit: 1_200, source: 'configured' }]);
});

test('a limit that is configured and reported is shown once, with the lower remaining value', () => {
  const learned = {
    ...target().learned,
    limits: [{ kind: 'requests', source: 'reported', windowMs: 60_000, limit: 500, available: 20 } as const],
  };
  const row = only(target({ limits: [{ kind: 'requestsPerMinute', limit: 600, available: 300 }], learned }));
  assert.deepEqual(row.limits, [{ label: 'req/min', used: 480, limit: 500, source: 'reported by the provider' }]);
});

test('the fullest limit comes first', () => {
  const row = only(
    target({
      limits: [
        { kind: 'requestsPerMinute', limit: 600, available: 590 },
        { kind: 'tokensPerMinute', limit: 1_000, available: 100 },
      ],
    }),
  );
  assert.deepEqual(
    row.limits.map(({ label }) => label),
    ['tok/min', 'req/min'],
  );
});

for (const [state, change] of [
  ['breaker open', { breaker: { state: 'open', openForMs: 1_000, failureRatio: 1 } }],
  ['probing', { breaker: { state: 'half-open', openForMs: null, failureRatio: 1 } }],
  ['isolated', { breaker: { state: 'isolated', openForMs: null, failureRatio: 0 } }],
  ['cooldown', { cooldownMs: 4_000 }],
  ['key refused', { quarantinedMs: 4_000, quarantine: { reason: 'auth', status: 401, code: null, message: '' } }],
  ['quota spent', { quarantinedMs: 4_000, quarantine: { reason: 'quota', status: 429, code: null, message: '' } }],
  ['ok', {}],
] as const) {
  test(`a target is ${state}`, () => assert.equal(only(target(change)).state, state));
}

test('a few failures do not make a target failing, one in ten does', () => {
  const stateOf = (calls: number, failed: number) =>
    targetRows(stateWith({ targets: [target()], activity: [activity({ calls, failed })] }))[0]!.state;
  assert.deepEqual([stateOf(4, 4), stateOf(100, 9), stateOf(100, 10)], ['ok', 'ok', 'failing']);
});

test('a target whose last calls succeed is no longer failing', () => {
  const stateOf = (...last: [calls: number, failed: number][]) => {
    const earlier = Array.from({ length: 40 - last.length }, () => [10, 8]);
    const strip = [...earlier, ...last].flat();
    const of = (offset: number) => strip.filter((_, index) => index % 2 === offset).reduce((sum, value) => sum + value, 0);
    return targetRows(stateWith({ targets: [target()], activity: [activity({ calls: of(0), failed: of(1), strip })] }))[0]!.state;
  };
  assert.equal(stateOf([10, 8]), 'failing');
  assert.equal(stateOf([10, 0]), 'failing', 'ten calls may be chance');
  assert.equal(stateOf([10, 0], [10, 0]), 'ok', 'twenty are not');
  const light = Array.from({ length: 10 }, (): [number, number] => [1, 0]);
  assert.equal(stateOf(...light.slice(0, 5)), 'failing');
  assert.equal(stateOf(...light), 'ok');
  assert.equal(stateOf([100, 0], [100, 8], [100, 7], [100, 9], [100, 9], [100, 9]), 'ok', 'one in ten is the bound');
  assert.equal(stateOf([10, 0], [10, 0], [10, 5]), 'failing');
});

test('a target without calls is idle', () => {
  assert.equal(targetRows(stateWith({ targets: [target()] }))[0]!.state, 'idle');
});

test('the cost of a target is that of today, and none if its calls have no price', () => {
  const costOf = (usd: number, unpricedCalls: number) =>
    targetRows(
      stateWith({
        targets: [target()],
        costToday: { usd, unpricedCalls, byTarget: [{ target: 'north/writer', usd, unpricedCalls }], byClient: [] },
      }),
    )[0]!.costUsd;
  assert.deepEqual([costOf(1.5, 0), costOf(0, 0), costOf(1.5, 2), costOf(0, 2)], [1.5, 0, 1.5, null]);
  assert.equal(only(target()).costUsd, null);
});

test('the end of the model is part of its row', () => {
  const end = { target: 'north/writer', endsOn: '2026-12-20', daysLeft: 20, successor: 'writer-2' };
  assert.deepEqual(targetRows(stateWith({ targets: [target()], endings: [end] }))[0]!.end, end);
});

test('an open breaker whose time is over is probed with the next request', () => {
  const due = target({ breaker: { state: 'open', openForMs: 0, failureRatio: 1 } });
  const [idle] = targetRows(stateWith({ targets: [due] }));
  assert.deepEqual([idle!.tone, idle!.state, idle!.detail], ['warn', 'breaker open', 'probed with the next request']);
  const [busy] = targetRows(stateWith({ targets: [due], activity: [activity()] }));
  assert.deepEqual([busy!.tone, busy!.detail], ['bad', 'probed with the next request']);
});
