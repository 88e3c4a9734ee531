/** Stored responses of the Responses API belong to one client. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { headStep, send, wholeAnswer } from './dialect-wires.ts';
import { FOUR_WIRES } from './four-wires.ts';
import { startVirtualWorld } from './virtual.ts';
import { startWorld } from './world.ts';

const ONE = { authorization: 'Bearer one-key-1234' };
const TWO = { authorization: 'Bearer two-key-1234' };
const CLIENTS = [
  { name: 'one', key: 'one-key-1234' },
  { name: 'two', key: 'two-key-1234' },
];

async function stage(t: TestContext, clients = CLIENTS, provider: { apiKeys?: string[] } = {}) {
  const world = await startWorld(t, {
    storms: { a: provider },
    providers: { a: { preset: 'openai', ...provider } },
    models: { fast: ['a/gpt-5.1'] },
    config: { clients },
  });
  const ask = async (who: Record<string, string>, more: Record<string, unknown>) => {
    const response = await world.post('/v1/responses', { model: 'fast', input: 'Say something.', ...more }, { headers: who });
    const { id, error } = (await response.json()) as { id?: string; error?: { code: string; param: string } };
    return { status: response.status, id, error };
  };
  return { world, ask, calls: () => world.storms['a']!.stats().calls };
}

describe('a stored response', () => {
  it('is continued by its own client only, and by none once it is deleted', async (t) => {
    const { world, ask, calls } = await stage(t);
    const first = await ask(ONE, {});
    assert.equal((await ask(ONE, { previous_response_id: first.id })).status, 200);
    const stolen = await ask(TWO, { previous_response_id: first.id });
    assert.deepEqual(
      [stolen.status, stolen.error?.code, stolen.error?.param],
      [400, 'previous_response_not_found', 'previous_response_id'],
    );
    await fetch(`${world.url}/v1/responses/${first.id}`, { method: 'DELETE', headers: ONE });
    assert.equal((await ask(ONE, { previous_response_id: first.id })).status, 400);
    assert.equal(calls(), 2, 'refused requests reach no provider');
  });

  it('has an owner although it was too large to be stored', async (t) => {
    const { ask, calls } = await stage(t);
    const large = await ask(ONE, { input: 'x'.repeat(300_000) });
    assert.equal(large.status, 200);
    assert.equal((await ask(TWO, { previous_response_id: large.id })).status, 400);
    assert.equal((await ask(ONE, { previous_response_id: large.id })).status, 200);
    assert.equal((await ask(TWO, { previous_response_id: large.id, input: 'x'.repeat(300_000) })).status, 400, 'in a large request too');
    assert.equal(calls(), 2);
  });

  it('that Breakwater does not know is left to the provider where one client alone uses it', async (t) => {
    const { ask, calls } = await stage(t, CLIENTS.slice(0, 1));
    await ask(ONE, { previous_response_id: 'resp_unknown' });
    assert.equal(calls(), 1);
    const several = await stage(t);
    assert.equal((await several.ask(ONE, { previous_response_id: 'resp_unknown' })).status, 400);
    assert.equal(several.calls(), 0);
  });

  it('is deleted at its provider too, with the key that holds it', async (t) => {
    const apiKeys = ['sk-one', 'sk-two'];
    const { world, ask } = await stage(t, CLIENTS.slice(0, 1), { apiKeys });
    const large = 'x'.repeat(300_000);
    const made = await Promise.all(apiKeys.flatMap(() => [ask(ONE, {}), ask(ONE, { input: large })]));
    const storm = world.storms['a']!;
    const heldBy = async (key: string): Promise<number> => {
      const headers = { authorization: `Bearer ${key}` };
      const found = await Promise.all(made.map(({ id }) => fetch(`${storm.url}/responses/${id}`, { headers })));
      return found.filter(({ status }) => status === 200).length;
    };
    assert.deepEqual(await Promise.all(apiKeys.map(heldBy)), [2, 2]);
    for (const { id } of made) assert.equal((await remove(world.url, id!)).status, 200);
    assert.deepEqual(await Promise.all(apiKeys.map(heldBy)), [0, 0]);
    assert.equal((await remove(world.url, made[0]!.id!)).status, 404);
  });

  it('that its provider no longer has is deleted; one that the provider may still have is kept', async (t) => {
    let status = 500;
    const world = await startVirtualWorld(t, {
      providers: {
        a: ({ request }) =>
          request.method === 'DELETE'
            ? { steps: [headStep(false, status), send('{"error":{"message":"no"}}')] }
            : wholeAnswer(FOUR_WIRES.responses, false),
      },
      configured: { a: { preset: 'openai', baseUrl: 'http://a/v1', apiKey: 'sk-x' } },
    });
    const call = (path: string, init: RequestInit) => world.until(world.fetch(`http://breakwater${path}`, init));
    const made = await call('/v1/responses', { method: 'POST', body: JSON.stringify({ model: 'fast', input: 'hello' }) });
    const { id } = (await world.until(made.json())) as { id: string };
    const failed = await call(`/v1/responses/${id}`, { method: 'DELETE' });
    assert.deepEqual([failed.status, ((await failed.json()) as { error: { code: string } }).error.code], [502, 'all_targets_failed']);
    assert.equal((await call(`/v1/responses/${id}`, {})).status, 200);
    status = 404;
    assert.equal((await call(`/v1/responses/${id}`, { method: 'DELETE' })).status, 200);
    assert.equal((await call(`/v1/responses/${id}`, {})).status, 404);
    assert.deepEqual(
      world.upstream.calls.slice(1).map(({ request }) => `${request.method} ${request.path}`),
      [`DELETE /v1/responses/${id}`, `DELETE /v1/responses/${id}`],
    );
  });
});

function remove(url: string, id: string): Promise<Response> {
  return fetch(`${url}/v1/responses/${id}`, { method: 'DELETE', headers: ONE });
}
