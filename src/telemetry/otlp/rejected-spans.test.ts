import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import type { Logger } from '../logs.ts';
import { createRejectedSpans, reportEveryMs } from './rejected-spans.ts';

function setUp() {
  const clock = createManualClock();
  const lines: unknown[] = [];
  const log = { warn: (fields: object, message: string) => lines.push({ ...fields, message }) } as unknown as Logger;
  return { clock, lines, rejected: createRejectedSpans(clock, log) };
}

test('the message of a collector that rejects spans is logged at once, then once a minute with the sum', () => {
  const { clock, lines, rejected } = setUp();
  rejected.count(3, 'span too old');
  assert.deepEqual(lines.splice(0), [{ rejected: 3, exports: 1, error: 'span too old', message: 'the collector rejected 3 spans' }]);
  for (let i = 0; i < 100; i++) rejected.count(2, 'quota exceeded');
  clock.advance(reportEveryMs - 1);
  assert.deepEqual(lines, []);
  clock.advance(1);
  assert.deepEqual(lines.splice(0), [
    { rejected: 200, exports: 100, error: 'quota exceeded', message: 'the collector rejected 200 spans' },
  ]);
  clock.advance(reportEveryMs);
  assert.deepEqual(lines, []);
  assert.equal(clock.pendingTimers, 0);
});

test('a warning without rejected spans, and a rejection without a message, are logged too', () => {
  const { clock, lines, rejected } = setUp();
  rejected.count(0, 'attributes were dropped');
  clock.advance(reportEveryMs);
  rejected.count(1, '');
  assert.deepEqual(
    lines.map((line) => Object.values(line as object)),
    [
      [0, 1, 'attributes were dropped', 'the collector accepted spans with a warning'],
      [1, 1, 'no reason given', 'the collector rejected 1 span'],
    ],
  );
});

test('the rest is logged at the end, and no timer remains', () => {
  const { clock, lines, rejected } = setUp();
  rejected.count(1, 'a');
  rejected.count(4, 'b'.repeat(1_000));
  rejected.close();
  assert.equal(lines.length, 2);
  assert.equal((lines[1] as { error: string }).error.length, 500);
  assert.equal(clock.pendingTimers, 0);
});

test('a response that comes after the end is not logged, and starts no timer', () => {
  const { clock, lines, rejected } = setUp();
  rejected.close();
  rejected.count(2, 'late');
  assert.deepEqual(lines, []);
  assert.equal(clock.pendingTimers, 0);
});
