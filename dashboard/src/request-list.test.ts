import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchingRequests, toneOf } from './request-list.ts';
import { request } from './sample-state.ts';

const rejected = { outcome: 'refused', status: 401, code: 'invalid_api_key', target: null, attempts: 0 } as const;
const idsOf = (...args: Parameters<typeof matchingRequests>) => matchingRequests(...args).map(({ id }) => id);

test('the text filter looks at model, client, target, code and id, of running requests too', () => {
  const source = {
    running: [request({ id: 'req_run', outcome: 'running', model: 'other' })],
    requests: [
      request({ id: 'req_a', client: 'web' }),
      request({ id: 'req_b', code: 'queue_full', outcome: 'refused', status: 429, target: null }),
    ],
  };
  assert.deepEqual(idsOf(source, 'all', ''), ['req_run', 'req_a', 'req_b']);
  assert.deepEqual(idsOf(source, 'all', ' OTHER '), ['req_run']);
  assert.deepEqual(idsOf(source, 'all', 'queue'), ['req_b']);
  assert.deepEqual(idsOf(source, 'all', 'req_a'), ['req_a']);
  assert.deepEqual(idsOf(source, 'running', 'web'), ['req_run']);
  assert.deepEqual(idsOf(source, 'trouble', ''), ['req_b']);
});

test('a rejected request that counts among the errors that callers see is trouble, others are not, whatever their client', () => {
  const known = request({ ...rejected, id: 'req_known', client: 'unknown', callerVisible: true });
  const scanner = request({ ...rejected, id: 'req_scanner', client: 'web', status: 404, code: 'model_not_found' });
  assert.deepEqual(idsOf({ running: [], requests: [known, scanner] }, 'trouble', ''), ['req_known']);
  assert.deepEqual([toneOf(known), toneOf(scanner)], ['bad', 'info']);
  const invalid = request({ ...rejected, status: 400, code: 'invalid_request', client: 'web' });
  assert.equal(toneOf(invalid), 'info');
});
