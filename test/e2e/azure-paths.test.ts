/** Clients of Azure OpenAI, with its SDK and without, on any target. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AzureOpenAI } from 'openai';
import { startWorld } from './world.ts';

it('Azure-style paths name the model; the body may leave it out', async (t) => {
  const world = await startWorld(t, { storms: { a: { keepBodies: 10 } }, models: { fast: ['a/m'], other: ['a/n'] } });
  const azure = new AzureOpenAI({ endpoint: world.url, apiKey: 'unused', apiVersion: '2024-10-21', maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  assert.ok((await azure.chat.completions.create({ model: 'fast', messages })).choices[0]!.message.content);
  for await (const chunk of await azure.chat.completions.create({ model: 'fast', messages, stream: true })) assert.ok(chunk.choices);
  assert.equal((await azure.embeddings.create({ model: 'fast', input: 'x' })).data.length, 1);

  const direct = await world.post('/openai/deployments/other/chat/completions?api-version=2024-10-21', { messages });
  assert.equal(direct.status, 200);
  const byProvider = await world.post('/openai/deployments/a%2Fp/chat/completions', { model: 'ignored', messages });
  assert.equal(byProvider.headers.get('x-breakwater-target'), 'a/p');
  assert.equal((await world.post('/openai/v1/chat/completions?api-version=preview', { model: 'fast', messages })).status, 200);
  assert.deepEqual(world.storms['a']!.stats().byModel, { m: 4, n: 1, p: 1 });
  assert.equal((await world.post('/openai/deployments/other/nothing', { messages })).status, 404);
  assert.equal((await world.post('/openai/deployments/unknown-model/chat/completions', { messages })).status, 404);
});

it('an Azure-style body with two models is refused without a call', async (t) => {
  const world = await startWorld(t, { storms: { a: {} }, models: { fast: ['a/m'] } });
  for (const [path, rest] of [
    ['chat/completions', '"messages":[{"role":"user","content":"x"}]'],
    ['images/generations', '"prompt":"x"'],
  ]) {
    const response = await fetch(`${world.url}/openai/deployments/fast/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"model":"fast",${rest},"model":"a/other"}`,
    });
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as { error: { message: string; param: string } };
    assert.deepEqual([error.message, error.param], ["'model' is given twice.", 'model']);
  }
  assert.deepEqual(world.storms['a']!.stats().byModel, {});
});

it("Google's SDK lists models in its own form", async (t) => {
  const world = await startWorld(t, { storms: { a: {} } });
  for (const path of ['/v1/models', '/v1beta/models']) {
    const response = await fetch(`${world.url}${path}`, { headers: { 'x-goog-api-client': 'google-genai-sdk/3.3.0' } });
    assert.deepEqual(
      ((await response.json()) as { models: { name: string }[] }).models.map(({ name }) => name),
      ['models/fast'],
    );
  }
});
