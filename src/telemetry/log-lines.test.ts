import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFieldsWriter, levelOf } from './log-lines.ts';

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

test('a rejected request says whether an earlier configuration accepted its key or had its model', () => {
  const event = {
    type: 'rejected',
    requestId: 'req-1',
    at: 0,
    status: 404,
    code: 'model_not_found',
    message: 'unknown model',
    method: 'POST',
    path: '/v1/chat/completions',
    protocol: 'openai',
    operation: 'chat',
    model: 'old',
    client: 'web',
  } as const;
  const fieldsOf = createFieldsWriter();
  assert.match(fieldsOf({ ...event, hadModel: true }), /"client":"web","model":"old","hadModel":true$/);
  assert.match(fieldsOf({ ...event, keyState: 'former' }), /"client":"web","keyState":"former","model":"old"$/);
});
