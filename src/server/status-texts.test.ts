import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { test } from 'node:test';
import { STATUS_TEXTS } from './status-texts.ts';

test('reason phrases are those of node:http', () => {
  assert.deepEqual(STATUS_TEXTS, { ...STATUS_CODES });
});
