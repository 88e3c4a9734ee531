import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { StoreFailure } from './backend.ts';
import { HealthBoard } from './health-board.ts';

test('the message of a degraded store is that of its latest failure, with one warning', () => {
  const clock = createManualClock();
  const warnings: string[] = [];
  const board = new HealthBoard({ clock, onWarning: (message) => warnings.push(message), name: 'the store redis://here' });
  board.degrade(new StoreFailure('unavailable', 'the connection was closed'));
  const sinceMs = clock.epochMs();
  clock.advance(1_000);
  board.degrade(new StoreFailure('unavailable', 'NOAUTH Authentication required.'));
  assert.deepEqual(board.health, { state: 'degraded', fault: 'unavailable', message: 'NOAUTH Authentication required.', sinceMs });
  assert.deepEqual(warnings, [
    'the store redis://here is degraded (unavailable): the connection was closed. State is kept in memory until it recovers',
  ]);
});
