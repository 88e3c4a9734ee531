/** `GET /v1/models/{id}` and the lists of providers, and embeddings requests in the words of other providers. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { json } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const KEY = { authorization: 'Bearer client-key' };

async function statusOf(world: VirtualWorld, id: string, headers: Record<string, string> = {}): Promise<readonly [number, string | null]> {
  const response = await world.until(world.fetch(`http://breakwater/v1/models/${id}`, { headers }));
  const body = (await response.json()) as { id?: string; owned_by?: string };
  if (response.status === 200) assert.equal(body.id, decodeURIComponent(id));
  return [response.status, body.owned_by ?? null];
}

const lists =
  (list: object) =>
  (call: SimulatedCall): SimulatedResponse =>
    call.request.path.endsWith('/models') ? json(200, list) : chatResponse();

const start = (t: TestContext, options: Partial<VirtualOptions>) =>
  startVirtualWorld(t, { providers: { a: lists({ data: [] }), router: lists([{ id: 'vendor/listed' }]) }, ...options });

describe('a model by its name', () => {
  const configured: VirtualOptions['configured'] = {
    a: { baseUrl: 'http://a/v1', apiKey: 'sk-test' },
    openai: { baseUrl: 'http://a/v1', apiKey: 'sk-test' },
    openrouter: { baseUrl: 'http://router/v1', apiKey: 'sk-test' },
  };
  const models = { fast: ['a/m'], 'team-*': ['a/*'] };

  it('is told for every name that chat takes', async (t) => {
    const world = await start(t, { configured, models });
    const expected = {
      fast: 'breakwater',
      'team-blue': 'breakwater',
      'a/anything': 'a',
      'a%2Fanything': 'a',
      'gpt-4o': 'openai',
      'vendor/listed': 'openrouter',
    };
    for (const [id, owner] of Object.entries(expected)) {
      assert.deepEqual(await statusOf(world, id), [200, owner], id);
      const name = decodeURIComponent(id);
      assert.equal((await world.answerTo({ model: name })).status, 200, name);
    }
    assert.equal((await statusOf(world, 'unheard-of'))[0], 404);
    assert.equal((await world.answerTo({ model: 'unheard-of' })).status, 404);
  });

  it('is not told to a client whose list leaves it out', async (t) => {
    const clients = [{ name: 'web', key: 'client-key', models: ['fast', 'team-b*'] }];
    const world = await start(t, { configured, models, config: { clients } });
    const statuses = ['fast', 'team-blue', 'team-red', 'a/m', 'gpt-4o', 'vendor/listed'].map(
      async (id) => (await statusOf(world, id, KEY))[0],
    );
    assert.deepEqual(await Promise.all(statuses), [200, 200, 404, 404, 404, 404]);
    assert.equal((await statusOf(world, 'fast'))[0], 401);
  });

  for (const list of [[{ id: 'm1' }], ['m1'], { models: [{ name: 'm1', model: 'x' }] }, { data: [{ model: 'm1' }] }]) {
    it(`stands in a provider's list of the shape ${JSON.stringify(list)}`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: lists(list) }, models: {} });
      assert.deepEqual(await statusOf(world, 'm1'), [200, 'a']);
      assert.equal((await world.answerTo({ model: 'm1' })).status, 200);
      const all = (await (await world.fetch('http://breakwater/v1/models')).json()) as { data: { id: string }[] };
      assert.deepEqual(all.data.map(({ id }) => id), ['a/m1']); // prettier-ignore
    });
  }
});

describe('an embeddings request in the words of another provider', () => {
  const requests: readonly (readonly [string, object, object])[] = [
    ['vLLM: messages', { messages: [{ role: 'user', content: 'x' }] }, { data: [{ index: 0, embedding: [0.5] }] }],
    ['Cohere: texts', { texts: ['x'], input_type: 'search_query' }, { id: 'x', embeddings: { float: [[0.5]] } }],
    ['Jina: images beside input', { input: [{ image: 'https://x' }], task: 'match' }, { data: [{ index: 0, embedding: [0.5] }] }],
  ];
  for (const [name, request, answer] of requests) {
    it(`is passed on, and so is the answer (${name})`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => json(200, answer) } });
      const body = JSON.stringify({ model: 'fast', ...request });
      const headers = { 'content-type': 'application/json' };
      const response = await world.until(world.fetch('http://breakwater/v1/embeddings', { method: 'POST', headers, body }));
      assert.deepEqual([response.status, await response.json()], [200, answer]);
      assert.deepEqual(JSON.parse(world.upstream.calls[0]!.body), { model: 'm', ...request });
    });
  }
});
