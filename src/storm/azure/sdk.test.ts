/** The Azure client of the official OpenAI SDK against Storm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { AzureOpenAI } from 'openai';
import { collect, errorOf, openStorm } from '../sdk.fixture.ts';

const messages = [{ role: 'user' as const, content: 'hello' }];

test('the deployment in the path is the model, whatever the body names', async () => {
  await using storm = await openStorm({ apiKeys: ['k'] });
  const client = new AzureOpenAI({
    endpoint: `http://127.0.0.1:${storm.port}`,
    apiKey: 'k',
    apiVersion: '2025-04-01-preview',
    maxRetries: 0,
  });
  const response = await client.chat.completions.create({ model: 'my-deployment', messages });
  assert.deepEqual([response.model, response.object], ['my-deployment', 'chat.completion']);
  const chunks = await collect(await client.chat.completions.create({ model: 'my-deployment', messages, stream: true }));
  assert.equal(chunks.at(-1)!.choices[0]!.finish_reason, 'stop');
  assert.equal((await client.embeddings.create({ model: 'my-embeddings', input: 'x' })).model, 'my-embeddings');
  const { byPath, byModel } = storm.stats();
  assert.deepEqual([byPath['/openai/deployments/{deployment}/chat/completions'], byModel['my-deployment']], [2, 2]);
});

test('the v1 URL form serves the OpenAI dialects, Responses included', async () => {
  await using storm = await openStorm();
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${storm.port}/openai/v1`, apiKey: 'k', maxRetries: 0 });
  assert.ok((await client.responses.create({ model: 'm', input: 'x' })).output_text);
  const events = await collect(await client.responses.create({ model: 'm', input: 'x', stream: true }));
  assert.equal(events.at(-1)!.type, 'response.completed');
  assert.ok((await client.chat.completions.create({ model: 'm', messages })).choices[0]!.message.content);
  assert.deepEqual(Object.keys(storm.stats().byPath).toSorted(), ['/openai/v1/chat/completions', '/openai/v1/responses']);
});

test("errors have Azure's messages", async () => {
  await using storm = await openStorm({ apiKeys: ['k'], limits: { requestsPerMinute: 1 } });
  const post = (key: string, query = '?api-version=2024-10-21') =>
    fetch(`http://127.0.0.1:${storm.port}/openai/deployments/d/chat/completions${query}`, {
      method: 'POST',
      headers: { 'api-key': key },
      body: JSON.stringify({ messages }),
    });
  const codeOf = async (response: Response) => [response.status, ((await response.json()) as { error: { code: string } }).error.code];
  assert.deepEqual(await codeOf(await post('wrong')), [401, '401']);
  assert.deepEqual(await codeOf(await post('k', '')), [404, '404']);
  const first = await post('k');
  assert.deepEqual([first.status, first.headers.get('x-ratelimit-remaining-requests')], [200, '0']);
  assert.match(first.headers.get('apim-request-id')!, /^req_storm/);
  const limited = await post('k');
  assert.ok(limited.headers.get('retry-after-ms') !== null);
  assert.deepEqual(await codeOf(limited), [429, '429']);
  const client = new AzureOpenAI({ endpoint: `http://127.0.0.1:${storm.port}`, apiKey: 'k', apiVersion: '2024-10-21', maxRetries: 0 });
  assert.ok((await errorOf(client.chat.completions.create({ model: 'd', messages }))) instanceof OpenAI.RateLimitError);
});
