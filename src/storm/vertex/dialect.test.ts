/** Vertex paths for Gemini and Claude, as their SDKs call them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GoogleGenAI } from '@google/genai';
import { readSse } from '../raw-call.fixture.ts';
import { collect, openStorm } from '../sdk.fixture.ts';

const PROJECT = '/v1/projects/p/locations/us-central1/publishers';
const CONTENTS = { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] };
const MESSAGES = { anthropic_version: 'vertex-2023-10-16', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] };

test('the Gemini SDK calls Vertex with an API key', async () => {
  await using storm = await openStorm();
  const client = new GoogleGenAI({ vertexai: true, apiKey: 'k', httpOptions: { baseUrl: `http://127.0.0.1:${storm.port}` } });
  const asked = { model: 'storm-large', contents: 'hello' };
  const complete = await client.models.generateContent(asked);
  const chunks = await collect(await client.models.generateContentStream(asked));
  assert.equal(chunks.map(({ text = '' }) => text).join(''), complete.text);
});

test('Gemini and Claude respond under project and location, to a bearer token', async () => {
  await using storm = await openStorm({ apiKeys: ['token'], limits: { requestsPerMinute: 1 } });
  const post = (path: string, body: object, token = 'token') =>
    fetch(`http://127.0.0.1:${storm.port}${PROJECT}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
  const gemini = await post('/google/models/g:generateContent', CONTENTS);
  assert.ok('candidates' in ((await gemini.json()) as object));
  const claude = await post('/anthropic/models/c@20250101:rawPredict', MESSAGES);
  assert.equal(((await claude.json()) as { model: string }).model, 'c@20250101');
  const stream = await post('/anthropic/models/d:streamRawPredict', { ...MESSAGES, stream: true });
  assert.equal(readSse(await stream.text()).at(-1)!.event, 'message_stop');
  const count = await post('/anthropic/models/count-tokens:rawPredict', { ...MESSAGES, model: 'c' });
  assert.ok(((await count.json()) as { input_tokens: number }).input_tokens > 0);

  const errorOf = async (response: Response) => {
    const { error } = (await response.json()) as { error: { code: number; status: string; details?: unknown } };
    return [response.status, error.status, error.details, response.headers.get('retry-after')];
  };
  for (const [path, body] of [
    ['/google/models/g:generateContent', CONTENTS],
    ['/anthropic/models/d:streamRawPredict', MESSAGES],
  ] as const) {
    assert.deepEqual(await errorOf(await post(path, body)), [429, 'RESOURCE_EXHAUSTED', undefined, null]);
    assert.deepEqual(await errorOf(await post(path, body, 'wrong')), [401, 'UNAUTHENTICATED', undefined, null]);
  }
  const { byPath } = storm.stats();
  assert.equal(byPath['/v1/projects/{p}/locations/{l}/publishers/anthropic/models/{model}:rawPredict'], 1);
});

test('arguments of a call are streamed one by one if requested', async () => {
  await using storm = await openStorm();
  const body = {
    contents: [{ role: 'user', parts: [{ text: 'call f {"city": "Tromsø harbour", "days": 3, "deep": {"on": [true, null]}}' }] }],
    tools: [{ functionDeclarations: [{ name: 'f' }] }],
    toolConfig: { functionCallingConfig: { streamFunctionCallArguments: true } },
  };
  const path = `${PROJECT}/google/models/g:streamGenerateContent?alt=sse`;
  const response = await fetch(`http://127.0.0.1:${storm.port}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const calls = readSse(await response.text()).flatMap(({ data }) => {
    const chunk = JSON.parse(data) as { candidates: { content: { parts: { functionCall?: Record<string, unknown> }[] } }[] };
    return chunk.candidates[0]!.content.parts.flatMap(({ functionCall }) => (functionCall === undefined ? [] : [functionCall]));
  });
  assert.deepEqual([calls[0], calls.at(-1)], [{ name: 'f', willContinue: true }, {}]);
  const partial = calls.flatMap((call) => (call['partialArgs'] ?? []) as Record<string, unknown>[]);
  const text = partial.filter(({ jsonPath }) => jsonPath === '$.city').map(({ stringValue }) => stringValue);
  assert.deepEqual([text.join(''), text.at(-1)], ['Tromsø harbour', '']);
  assert.deepEqual(partial.slice(-3), [
    { jsonPath: '$.days', numberValue: 3 },
    { jsonPath: '$.deep.on[0]', boolValue: true },
    { jsonPath: '$.deep.on[1]', nullValue: 'NULL_VALUE' },
  ]);
});
