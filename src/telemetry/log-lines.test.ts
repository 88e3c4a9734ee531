import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOf } from './log-lines.ts';

test('a note is a step of a request, unless it is one that an operator should find, or look at', () => {
  const note = { type: 'note', requestId: 'req-1', at: 1, note: 'x' } as const;
  assert.equal(levelOf(note), 'debug');
  assert.equal(levelOf({ ...note, notable: 'info' }), 'info');
  assert.equal(levelOf({ ...note, notable: 'warn' }), 'warn');
});
