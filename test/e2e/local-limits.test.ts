/** What a model of this machine can't do is no fault of the request while the providers before it are only out of order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, startWorld } from './world.ts';

const JSON_WANTED = { response_format: { type: 'json_object' } };
const DEADLINE = { 'x-breakwater-deadline-ms': '2000' };
const policy = { retry: { baseDelay: '1ms' }, breaker: { openFor: '1m' } } as const;

test('an outage is told as one, with the time to come back, though the model of this machine can not do what is asked', async (t) => {
  const world = await startWorld(t, { storms: { a: {} }, config: { policy }, models: { fast: ['a/m', 'local/extract'] } });
  world.storms['a']!.setFaults([{ kind: '503' }]);
  for (let i = 0; i < 12; i++) await world.ask({}, DEADLINE);
  assert.equal(world.gateway.targets()[0]!.breaker.state, 'open');
  const seen = await world.ask(JSON_WANTED, DEADLINE);
  const { code, message } = errorOf(seen.text);
  assert.deepEqual([seen.status, code], [503, 'no_target_available']);
  assert.match(message, /a\/m: breaker open for .*; local\/extract: local models do not support response_format/);
  assert.ok(Number(seen.headers.get('retry-after-ms')) > 0);
});

test('where there is nobody else, it is told as it is', async (t) => {
  const world = await startWorld(t, { storms: {}, models: { fast: ['local/extract'] } });
  const seen = await world.ask(JSON_WANTED);
  assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'unsupported_value']);
});

const told = {
  '503': [503, 'all_targets_failed'],
  '429-long': [429, 'all_targets_failed'],
  '401': [502, 'upstream_auth_failed'],
  '404': [404, 'model_not_found'],
  '400-context': [400, 'context_length_exceeded'],
} as const;

for (const [kind, [status, code]] of Object.entries(told) as [keyof typeof told, readonly [number, string]][]) {
  test(`where the targets before it fail with ${kind}, what it can not do changes neither status nor code`, async (t) => {
    const world = await startWorld(t, { storms: { a: {}, b: {} }, config: { policy }, models: { fast: ['a/m', 'b/m', 'local/extract'] } });
    for (const storm of Object.values(world.storms)) storm.setFaults([{ kind }]);
    const seen = await world.ask(JSON_WANTED, DEADLINE);
    assert.deepEqual([seen.status, errorOf(seen.text).code], [status, code], seen.text);
  });
}

test('one target alone before it: its own error is passed on', async (t) => {
  const world = await startWorld(t, {
    storms: { a: {} },
    config: { policy: { ...policy, maxAttempts: 2 } },
    models: { fast: ['a/m', 'local/extract'] },
  });
  world.storms['a']!.setFaults([{ kind: '429-long' }]);
  const seen = await world.ask(JSON_WANTED, DEADLINE);
  assert.deepEqual([seen.status, errorOf(seen.text).code], [429, 'rate_limit_exceeded']);
});
