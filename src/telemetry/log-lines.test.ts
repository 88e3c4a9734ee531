import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOf } from './log-lines.ts';

test('a note has level debug unless it is marked notable', () => {
  const note = { type: 'note', requestId: 'req-1', at: 1, note: 'x' } as const;
  assert.equal(levelOf(note), 'debug');
  assert.equal(levelOf({ ...note, notable: 'info' }), 'info');
  assert.equal(levelOf({ ...note, notable: 'warn' }), 'warn');
});

test('an operator is warned of a lost store, not of a change of the fleet', () => {
  const event = { type: 'lifecycle', at: 0 } as const;
  assert.equal(levelOf({ ...event, state: 'fleet_lost' }), 'warn');
  assert.equal(levelOf({ ...event, state: 'fleet_changed' }), 'info');
});
