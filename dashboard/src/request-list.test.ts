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

test('a wrong key of a known client is trouble, of an unknown one it is not', () => {
  const known = request({ ...rejected, id: 'req_known', client: 'web' });
  const scanner = request({ ...rejected, id: 'req_scanner', client: 'unknown' });
  assert.deepEqual(idsOf({ running: [], requests: [known, scanner] }, 'trouble', ''), ['req_known']);
  assert.deepEqual([toneOf(known), toneOf(scanner)], ['bad', 'info']);
  const invalid = request({ ...rejected, status: 400, code: 'invalid_request', client: 'web' });
  assert.equal(toneOf(invalid), 'info');
});
