import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttemptRecord } from '../../telemetry/request-log.ts';
import type { RecordLine } from '../simulate/record-line.ts';
import { IncidentBuilder } from './incident.ts';

const MINUTE = 60_000;

function line(at: number, ...attempts: Partial<AttemptRecord>[]): RecordLine {
  return {
    at, model: 'm', client: 'c', operation: 'chat', outcome: 'success', durationMs: 10, stream: true,
    attempts: attempts.map((attempt, i) => ({
      attempt: i + 1, target: 'a/m', credential: 1, atMs: 0, durationMs: 10, firstContentMs: 5, verdict: 'retry', reason: null,
      status: null, usage: null, ...attempt,
    })),
  }; // prettier-ignore
}

test('each kind of failure becomes the fault that looks the same to a gateway', () => {
  const cases: readonly (readonly [Partial<AttemptRecord>, string | null])[] = [
    [{ verdict: 'success', status: 200 }, null],
    [{ verdict: 'cancelled' }, null],
    [{ verdict: 'reject', status: 400 }, null],
    [{ status: 429, reason: 'rate_limited' }, 'rate_limit'],
    [{ status: 500, reason: 'server_error' }, 'server_error'],
    [{ status: 529, reason: 'overloaded' }, 'overloaded'],
    [{ status: 401, reason: 'auth' }, 'refusal'],
    [{ reason: 'connection' }, 'refused'],
    [{ reason: 'timeout' }, 'silence'],
    [{ status: 200, reason: 'stalled' }, 'stall'],
    [{ status: 200, reason: 'interrupted' }, 'cut'],
    [{ status: 200, reason: 'empty' }, 'empty'],
    [{ status: 200, reason: 'malformed' }, 'error_event'],
    [{ reason: null }, 'reset'],
  ];
  for (const [attempt, kind] of cases) {
    const builder = new IncidentBuilder(0, MINUTE);
    builder.take(line(1, attempt));
    assert.deepEqual(
      builder.build().targets['a/m']?.faults.map((fault) => fault.kind) ?? [],
      kind === null ? [] : [kind],
      JSON.stringify(attempt),
    );
  }
});

test('the shares of several faults in a slice add up, as the first one that is drawn applies', () => {
  const builder = new IncidentBuilder(0, MINUTE);
  for (let i = 0; i < 10; i++)
    builder.take(line(i, i < 2 ? { status: 500 } : i < 6 ? { status: 429 } : { verdict: 'success', status: 200 }));
  const { faults, attempts, failures } = builder.build().targets['a/m']!;
  assert.deepEqual([attempts, failures], [10, 6]);
  assert.deepEqual(faults.map(({ kind, probability }) => [kind, probability]), [['server_error', 0.2], ['rate_limit', 0.5]]); // prettier-ignore
});

test('a slice without attempts repeats the one before it; the first and last extend to the ends', () => {
  const builder = new IncidentBuilder(0, MINUTE);
  builder.take(line(12_000, { status: 503 }));
  builder.take(line(41_000, { verdict: 'success', status: 200 }));
  builder.take(line(51_000, { status: 503 }));
  const { faults } = builder.build().targets['a/m']!;
  assert.deepEqual(faults.map(({ fromMs, untilMs }) => [fromMs, untilMs]), [[0, 40_000], [50_000, undefined]]); // prettier-ignore
});

test('a long period has at most 120 slices, and attempts far outside it are left out', () => {
  const builder = new IncidentBuilder(0, 24 * 60 * MINUTE);
  for (let i = 0; i < 2_000; i++) builder.take(line(i * 43_200, { status: i % 2 === 0 ? 500 : 503 }));
  builder.take(line(1e15, { status: 500 }));
  const { targets, sliceMs } = builder.build();
  assert.equal(sliceMs, 720_000);
  assert.ok(targets['a/m']!.faults.length <= 240);
  assert.equal(targets['a/m']!.attempts, 2_000);
});
