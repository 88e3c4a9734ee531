/** Stored responses of the Responses API belong to one client. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startWorld } from './world.ts';

const ONE = { authorization: 'Bearer one-key-1234' };
const TWO = { authorization: 'Bearer two-key-1234' };
const CLIENTS = [
  { name: 'one', key: 'one-key-1234' },
  { name: 'two', key: 'two-key-1234' },
];

async function stage(t: TestContext, clients = CLIENTS) {
  const world = await startWorld(t, {
    storms: { a: {} },
    providers: { a: { preset: 'openai' } },
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
});
