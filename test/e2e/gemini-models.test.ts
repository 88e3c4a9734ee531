/** Models of Gemini requests: in the path, in the body, and of clients that may use only some. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { headStep, send, wholeAnswer } from './dialect-wires.ts';
import { FOUR_WIRES } from './four-wires.ts';
import { startVirtualWorld } from './virtual.ts';

const KEY = { authorization: 'Bearer web-key-1234' };
const LIMITED = [{ name: 'web', key: 'web-key-1234', models: ['fast'] }];
const LARGE = 'word '.repeat(40_000);

async function stage(t: TestContext, protocol: 'gemini' | 'anthropic', answer: SimulatedResponse, clients: ConfigInput['clients'] = []) {
  const world = await startVirtualWorld(t, {
    providers: { a: () => answer },
    configured: { a: { protocol, baseUrl: 'http://a', apiKey: 'sk-x' } },
    models: { fast: ['a/m'] },
    config: { clients },
  });
  const call = async (path: string, body?: object, method = 'POST') => {
    const init = { method, headers: KEY, ...(body !== undefined && { body: JSON.stringify(body) }) };
    const response = await world.until(world.fetch(`http://breakwater${path}`, init));
    return { status: response.status, allow: response.headers.get('allow'), text: await world.until(response.text()) };
  };
  return { call, calls: world.upstream.calls };
}

const contents = [{ role: 'user', parts: [{ text: 'hello' }] }];
const whole = wholeAnswer(FOUR_WIRES.gemini, false);
const json = (value: object): SimulatedResponse => ({ steps: [headStep(false), send(JSON.stringify(value))] });

describe('the model of a Gemini request', () => {
  it('keeps the form that it has in the body of generateContent', async (t) => {
    const { call, calls } = await stage(t, 'gemini', whole);
    for (const [given, sent] of [
      ['models/fast', 'models/m'],
      ['fast', 'm'],
    ] as const) {
      const { status, text } = await call('/v1beta/models/fast:generateContent', { model: given, contents });
      assert.equal(status, 200, text);
      assert.deepEqual(JSON.parse(calls.at(-1)!.body), { model: sent, contents });
      assert.match(calls.at(-1)!.request.path, /\/models\/m:generateContent$/);
    }
  });

  it('is replaced in a large body of embeddings too, and nothing else changes', async (t) => {
    const { call, calls } = await stage(t, 'gemini', json({ embeddings: [{ values: [1, 2] }] }));
    const requestsOf = (model: string) => [LARGE, 'the "model"'].map((text) => ({ model, content: { parts: [{ text }] } }));
    const { status, text } = await call('/v1beta/models/fast:batchEmbedContents', { requests: requestsOf('models/fast') });
    assert.equal(status, 200, text);
    assert.deepEqual(JSON.parse(calls[0]!.body), { requests: requestsOf('models/m') });
    const other = await call('/v1beta/models/fast:batchEmbedContents', {
      requests: [...requestsOf('models/fast'), ...requestsOf('models/m')],
    });
    assert.deepEqual([other.status, calls.length], [400, 1]);
    assert.match(other.text, /must be the model of the path, models\/fast/);
  });

  it('is not looked up for a method that is called with GET: the response is a 405', async (t) => {
    const { call, calls } = await stage(t, 'gemini', whole);
    for (const path of ['/v1beta/models/fast:generateContent', '/v1beta/models/nope:embedContent', '/v1/models/fast:countTokens']) {
      const { status, allow } = await call(path, undefined, 'GET');
      assert.deepEqual([status, allow], [405, 'POST'], path);
    }
    assert.equal(calls.length, 0);
  });
});

describe('a client that may use only some models', () => {
  it('sends long contents and embeddings', async (t) => {
    const { call } = await stage(t, 'gemini', whole, LIMITED);
    const long = [{ role: 'user', parts: [{ text: LARGE }] }];
    const chat = await call('/v1beta/models/fast:generateContent', { contents: long, systemInstruction: { parts: [{ text: LARGE }] } });
    assert.equal(chat.status, 200, chat.text);
    const content = { parts: [{ text: LARGE }] };
    const embedding = await stage(t, 'gemini', json({ embedding: { values: [1] }, embeddings: [{ values: [1] }] }), LIMITED);
    const single = await embedding.call('/v1beta/models/fast:embedContent', { content });
    const several = await embedding.call('/v1beta/models/fast:batchEmbedContents', { requests: [{ model: 'models/fast', content }] });
    assert.deepEqual([single.status, several.status], [200, 200], several.text);
  });

  it('sends a long system prompt in blocks', async (t) => {
    const { call } = await stage(t, 'anthropic', wholeAnswer(FOUR_WIRES.messages, false), LIMITED);
    const body = { model: 'fast', max_tokens: 9, system: [{ type: 'text', text: LARGE }], messages: [{ role: 'user', content: 'hello' }] };
    const { status, text } = await call('/v1/messages', body);
    assert.equal(status, 200, text);
  });

  it('is refused other models in the body', async (t) => {
    const { call, calls } = await stage(t, 'gemini', whole, LIMITED);
    for (const [path, body] of [
      ['/v1beta/models/other:generateContent', { contents }],
      ['/v1beta/models/fast:generateContent', { contents, fallback_models: ['other'] }],
      ['/v1beta/models/fast:embedContent', { content: contents[0], models: ['other'] }],
    ] as const) {
      assert.equal((await call(path, body)).status, 403, path);
    }
    assert.equal(calls.length, 0);
  });
});
