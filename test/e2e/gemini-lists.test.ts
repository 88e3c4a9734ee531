/** streamGenerateContent without `alt=sse`: the response is one JSON list of chunks. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { headStep, send, wholeAnswer } from './dialect-wires.ts';
import { FOUR_WIRES } from './four-wires.ts';
import { startVirtualWorld } from './virtual.ts';

const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: 3, totalTokenCount: 8 };
const chunk = (text: string, more: object = {}): string =>
  JSON.stringify({ candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...more }], responseId: 'r1' }, null, 2);
const LIST = `[${chunk('one ')}\r\n,\r\n${chunk('two')},\r\n${chunk(' three', { finishReason: 'STOP' }).slice(0, -2)},
  "usageMetadata": ${JSON.stringify(usageMetadata)}\n}]\r\n`;

type Chunk = { candidates: { content: { parts: { text?: string }[] }; finishReason?: string }[] };

async function ask(
  t: TestContext,
  protocol: 'gemini' | 'openai' | 'anthropic',
  answer: SimulatedResponse,
  method = 'streamGenerateContent',
) {
  const baseUrl = `http://a${protocol === 'openai' ? '/v1' : ''}`;
  const world = await startVirtualWorld(t, {
    providers: { a: () => answer },
    configured: { a: { protocol, baseUrl, apiKey: 'sk-x' } },
    models: { fast: ['a/m'] },
    config: { policy: { cache: { enabled: true } } },
  });
  const post = async (called: string) => {
    const init = { method: 'POST', body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'hello' }] }] }) };
    const response = await world.until(world.fetch(`http://breakwater/v1beta/models/fast:${called}`, init));
    return { status: response.status, headers: response.headers, text: await world.until(response.text()) };
  };
  return { world, post, seen: await post(method) };
}

const textOf = (chunks: readonly Chunk[]): string =>
  chunks
    .flatMap(({ candidates }) => candidates)
    .flatMap(({ content }) => content.parts)
    .map(({ text }) => text ?? '')
    .join('');

describe('a Gemini stream without alt=sse', () => {
  it('is asked for in the same form, and passes byte for byte', async (t) => {
    for (const size of [LIST.length, 9]) {
      const pieces = LIST.match(new RegExp(`[^]{1,${size}}`, 'g'))!;
      const { world, seen } = await ask(t, 'gemini', { steps: [headStep(false), ...pieces.map(send)] });
      assert.equal(seen.status, 200);
      assert.equal(seen.text, LIST);
      assert.equal(world.upstream.calls[0]!.request.path, '/v1beta/models/m:streamGenerateContent');
      assert.deepEqual(
        world.eventsOf('finished').map(({ usage }) => [usage?.inputTokens, usage?.outputTokens]),
        [[5, 3]],
      );
    }
  });

  it('holds one chunk where the provider sent one response, or another dialect', async (t) => {
    for (const [protocol, wire] of [
      ['gemini', FOUR_WIRES.gemini],
      ['openai', FOUR_WIRES.chat],
      ['anthropic', FOUR_WIRES.messages],
    ] as const) {
      const { seen } = await ask(t, protocol, wholeAnswer(wire, false));
      assert.equal(seen.status, 200, seen.text);
      const chunks = JSON.parse(seen.text) as Chunk[];
      assert.equal(chunks.length, 1, protocol);
      assert.equal(textOf(chunks), 'one two three');
      assert.equal(chunks[0]!.candidates[0]!.finishReason, 'STOP');
    }
  });

  it('fails where the list broke off', async (t) => {
    const { seen, world } = await ask(t, 'gemini', { steps: [headStep(false), send(LIST.slice(0, -5))] });
    assert.equal(seen.status, 502);
    assert.ok('error' in (JSON.parse(seen.text) as object));
    assert.ok(world.callsTo('a') > 1);
  });

  it('shares no cached response with generateContent', async (t) => {
    const { world, post } = await ask(t, 'gemini', { steps: [headStep(false), send(LIST)] });
    assert.equal((await post('streamGenerateContent')).text, LIST);
    assert.equal(world.callsTo('a'), 1, 'cached');
    await post('generateContent');
    assert.equal(world.callsTo('a'), 2);
  });
});
