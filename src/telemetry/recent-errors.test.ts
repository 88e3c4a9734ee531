/** The errors in the frames of the feed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RejectedEvent } from '../core/events.ts';
import { tickMs } from './feed.ts';
import { setUp } from './feed.fixture.ts';

const rejection = {
  type: 'rejected',
  status: 401,
  code: 'invalid_api_key',
  message: 'unknown API key',
  method: 'POST',
  path: '/v1/chat/completions',
  protocol: 'openai',
  operation: 'chat',
  model: null,
  client: null,
} as const;

function rejections(changes: readonly Partial<RejectedEvent>[]) {
  const { clock, bus, subscribe, request } = setUp();
  request('before', { client: 'web', model: 'fast' });
  clock.advance(30_000);
  changes.forEach((change, index) => bus.emit({ ...rejection, requestId: `no-${index}`, at: clock.now(), ...change }));
  const { errors, rates, clients } = subscribe().reader.last.data.state;
  return { errors: errors.map(({ code, client, requests, callerVisible }) => [code, client, requests, callerVisible]), rates, clients };
}

test('requests that a reload has locked out are errors, by code and client; those of scanners are not', () => {
  const { errors, rates, clients } = rejections([
    { keyState: 'former', client: 'web' },
    { keyState: 'former', client: 'web', path: '/v1beta/models/gemini-flash:generateContent' },
    { keyState: 'unknown' },
    {},
    { path: '/.env', keyState: 'unknown' },
    { path: '/admin/targets', keyState: 'unknown' },
  ]);
  assert.deepEqual(errors, [
    ['invalid_api_key', 'web', 2, 2],
    ['invalid_api_key', null, 1, 0],
  ]);
  assert.deepEqual([rates.rejected, rates.refused], [2, 0]);
  assert.deepEqual([clients.find(({ client }) => client === 'web')!.rejected, clients.length], [2, 1]);
});

test('a rejected model is an error where it was served before, or an earlier configuration had it', () => {
  const missing = { status: 404, code: 'model_not_found', client: 'web' } as const;
  const { errors } = rejections([
    { ...missing, model: 'fast' },
    { ...missing, model: 'fsat' },
    { ...missing, client: 'new', model: 'fast', hadModel: true },
    { status: 403, code: 'model_not_allowed', client: 'web', model: 'fast' },
    { status: 429, code: 'rate_limited', client: 'agents', model: 'fast' },
  ]);
  assert.deepEqual(errors, [
    ['model_not_found', 'web', 2, 1],
    ['model_not_found', 'new', 1, 1],
    ['model_not_allowed', 'web', 1, 1],
    ['rate_limited', 'agents', 1, 1],
  ]);
});

test('a typing error neither hides the model that was served before nor counts as a refusal of its client', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('before', { client: 'web', model: 'fast' });
  const missing = { ...rejection, status: 404, code: 'model_not_found', client: 'web' } as const;
  const reject = (model: string) => bus.emit({ ...missing, requestId: `no-${model}`, at: clock.now(), model });
  reject('fast');
  reject('fsat');
  clock.advance(5_000);
  reject('fsta');
  clock.advance(5_000);
  const { state, requests } = subscribe().reader.last.data;
  const [error] = state.errors;
  assert.deepEqual([error!.model, error!.requests, error!.callerVisible], ['fast', 3, 1]);
  assert.equal(state.clients.find(({ client }) => client === 'web')!.rejected, 1);
  const visible = requests.filter(({ callerVisible }) => callerVisible === true);
  assert.deepEqual(
    visible.map(({ model }) => model),
    ['fast'],
  );
});

test('errors are those of a minute, and their names are bounded', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('late', { outcome: 'failed', code: 'deadline_exceeded', status: 504, client: 'web' });
  for (let i = 0; i < 5_000; i++)
    bus.emit({ ...rejection, requestId: `no-${i}`, at: clock.now(), keyState: 'former', client: `client-${i}` });
  const { reader } = subscribe();
  const { errors } = reader.last.data.state;
  assert.ok(errors.length <= 50);
  assert.deepEqual(errors[0], {
    code: 'invalid_api_key',
    client: null,
    isRejected: true,
    model: null,
    requests: 4_901,
    callerVisible: 4_901,
  });
  clock.advance(66_000);
  assert.deepEqual(reader.last.data.state.errors, []);
});

test('a reload forgets whose budget had no room', () => {
  const { clock, bus, subscribe, request } = setUp();
  request('poor', { outcome: 'refused', code: 'budget_exceeded', status: 429, client: 'web' });
  const { reader } = subscribe();
  assert.deepEqual(
    reader.last.data.state.clients.map(({ overBudget, overBudgetAt }) => [overBudget, overBudgetAt]),
    [[1, clock.epochMs()]],
  );
  bus.emit({ type: 'lifecycle', at: clock.now(), state: 'reloaded' });
  clock.advance(tickMs);
  const [client] = reader.last.data.state.clients;
  assert.deepEqual([client!.overBudget, client!.overBudgetAt, client!.refused], [0, null, 1]);
});
