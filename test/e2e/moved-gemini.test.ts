/** Gemini conversations with signed thoughts and calls that move between keys, providers and dialects, against Storm, which signs for each key and model. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startStorm } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';

type Part = Record<string, unknown>;
interface Content {
  readonly role: string;
  readonly parts: readonly Part[];
}

const user = (text: string): Content => ({ role: 'user', parts: [{ text }] });
const config = { thinkingConfig: { includeThoughts: true } };
const tools = [{ functionDeclarations: [{ name: 'weather' }] }];

interface Chunk {
  readonly candidates?: readonly { readonly content?: { readonly parts?: readonly Part[] } }[];
}

async function ask(gateway: { fetch: typeof fetch }, model: string, stream: boolean, body: Record<string, unknown>) {
  const method = stream ? 'streamGenerateContent?alt=sse' : 'generateContent';
  const response = await gateway.fetch(`http://breakwater/v1beta/models/${model}:${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ generationConfig: config, ...body }),
  });
  const text = await response.text();
  const chunks = text.startsWith('{') ? [text] : text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
  const parts = response.ok ? chunks.flatMap((chunk) => (JSON.parse(chunk) as Chunk).candidates?.[0]?.content?.parts ?? []) : [];
  return { status: response.status, text, headers: response.headers, parts };
}

describe('a Gemini conversation with signatures', { concurrency: 2 }, () => {
  it('goes on with a call that a model made without a signature, where one is wanted, and pays for that once', async (t) => {
    const storm = await startStorm({ name: 'a' });
    t.after(() => storm.close());
    const baseUrl = storm.url.replace(/\/v1$/, '/v1beta');
    const gateway = await startGateway({ providers: { google: { protocol: 'gemini', baseUrl, apiKey: 'sk-first-key-0001' } } });
    t.after(() => gateway.close());
    const call = { functionCall: { name: 'weather', args: {} } };
    const result = { functionResponse: { name: 'weather', response: { output: 'calm' } } };
    const contents = [user('one'), { role: 'model', parts: [call] }, { role: 'user', parts: [result] }];
    for (const attempts of ['2', '1', '1']) {
      const seen = await ask(gateway, 'google/storm', false, { contents, tools });
      assert.deepEqual(
        [seen.status, seen.headers.get('x-breakwater-attempts'), seen.headers.get('x-breakwater-dropped')],
        [200, attempts, null],
        seen.text,
      );
    }
  });

  for (const stream of [false, true]) {
    it(`goes through twenty turns with calls at two keys, two models, another provider and chat, ${stream ? 'streamed' : 'in one piece'}`, async (t) => {
      const storms = await Promise.all(['a', 'b', 'c'].map((name) => startStorm({ name })));
      t.after(() => Promise.all(storms.map((storm) => storm.close())));
      const at = (i: number, protocol: 'gemini' | 'openai', apiKey: string) => {
        const baseUrl = protocol === 'gemini' ? storms[i]!.url.replace(/\/v1$/, '/v1beta') : storms[i]!.url;
        return { protocol, baseUrl, apiKey };
      };
      const gateway = await startGateway({
        providers: {
          first: at(0, 'gemini', 'sk-first-key-0001'),
          second: at(0, 'gemini', 'sk-second-key-0002'),
          other: at(1, 'gemini', 'sk-third-key-0003'),
          chat: at(2, 'openai', 'sk-fourth-key-0004'),
        },
      });
      t.after(() => gateway.close());
      const contents: Content[] = [];
      const models = ['first/storm', 'second/storm', 'other/storm', 'chat/storm', 'first/storm-small'];
      let signatures = 0;
      for (let i = 0; i < 20; i++) {
        const isCall = i % 2 === 0;
        const last = contents.at(-1)?.parts.find(({ functionCall }) => functionCall !== undefined);
        const result = { functionResponse: { name: 'weather', response: { output: 'calm' } } };
        contents.push(last === undefined ? user(`question ${i}`) : { role: 'user', parts: [result] });
        const forced = isCall ? { toolConfig: { functionCallingConfig: { mode: 'ANY' } } } : {};
        const seen = await ask(gateway, models[i % models.length]!, stream, { contents, tools, ...forced });
        assert.equal(seen.status, 200, `turn ${i}: ${seen.text}`);
        assert.equal(seen.headers.get('x-breakwater-attempts'), '1', `turn ${i}`);
        signatures += seen.parts.filter(({ thoughtSignature }) => thoughtSignature !== undefined).length;
        contents.push({ role: 'model', parts: seen.parts });
      }
      assert.equal(signatures, 18, 'every turn of Gemini, and the calls of chat, which have what Google takes in place of one');
      assert.deepEqual(
        storms.map((storm) => storm.stats().calls),
        [12, 4, 4],
      );
    });
  }
});
