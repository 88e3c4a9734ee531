/** `stream.recover: continue` for callers and targets of every dialect that has partial responses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { proseFor } from '../../src/storm/continuation.ts';
import { CODECS } from '../../src/wire/codecs.ts';
import type { DialectName, ModelEvent } from '../../src/wire/model.ts';
import { headStep } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';

const WHOLE = proseFor('prose en 7')!;
const AT = Math.floor(WHOLE.length / 2);
const BEGIN: readonly ModelEvent[] = [
  { type: 'start', id: 'msg_1', model: 'm' },
  { type: 'part_start', choice: 0, part: 0, head: { type: 'text' } },
];
const says = (text: string): ModelEvent => ({ type: 'delta', choice: 0, part: 0, text });
const END: readonly ModelEvent[] = [
  { type: 'part_end', choice: 0, part: 0, opaque: null },
  { type: 'finish', choice: 0, reason: 'stop', raw: '', stopSequence: null },
  { type: 'usage', usage: { inputTokens: 5, cachedInputTokens: 0, outputTokens: 9 } },
  { type: 'end' },
];

const DIALECTS = ['openai-chat', 'anthropic-messages', 'gemini'] as const;
type Dialect = (typeof DIALECTS)[number];
const PROTOCOL = { 'openai-chat': 'openai', 'anthropic-messages': 'anthropic', gemini: 'gemini' } as const;

function streamOf(dialect: DialectName, events: readonly ModelEvent[]): string {
  const writer = CODECS[dialect].createWriter({ id: 'r', model: 'm', createdAt: 1, includeUsage: true, tools: [], echo: {} });
  return events.map((event) => writer.write(event)).join('');
}

const user = 'Write about harbours.';
const ASKS: Readonly<Record<Dialect, { readonly path: string; readonly body: object }>> = {
  'openai-chat': { path: '/v1/chat/completions', body: { model: 'fast', stream: true, messages: [{ role: 'user', content: user }] } },
  'anthropic-messages': {
    path: '/v1/messages',
    body: { model: 'fast', stream: true, max_tokens: 9000, messages: [{ role: 'user', content: user }] },
  },
  gemini: { path: '/v1beta/models/fast:streamGenerateContent?alt=sse', body: { contents: [{ role: 'user', parts: [{ text: user }] }] } },
};

for (const caller of DIALECTS) {
  for (const target of DIALECTS) {
    test(`a ${caller} stream that breaks off goes on at a ${target} target as one stream`, async (t) => {
      const broken = (): SimulatedResponse => {
        const bytes = streamOf(caller, [...BEGIN, ...(WHOLE.slice(0, AT).match(/.{1,9}/gs) ?? []).map(says)]);
        return { steps: [headStep(true), { do: 'send', bytes }, { do: 'wait', ms: 5 }, { do: 'break', code: 'ECONNRESET' }] };
      };
      const rest = ({ body }: SimulatedCall): SimulatedResponse => {
        assert.ok(body.includes(JSON.stringify(WHOLE.slice(0, AT).trimEnd()).slice(1, -1)), 'the text so far is sent');
        const bytes = streamOf(target, [...BEGIN, ...(WHOLE.slice(AT).match(/.{1,9}/gs) ?? []).map(says), ...END]);
        return { steps: [headStep(true), { do: 'send', bytes }] };
      };
      const place = (name: string, dialect: Dialect) => ({
        protocol: PROTOCOL[dialect],
        baseUrl: dialect === 'openai-chat' ? `http://${name}/v1` : `http://${name}`,
        apiKey: 'sk-test',
      });
      const world = await startVirtualWorld(t, {
        providers: { a: broken, b: rest },
        configured: { a: place('a', caller), b: place('b', target) },
        models: { fast: ['a/m', { target: 'b/m', prefill: true }] },
        config: { policy: { stream: { recover: 'continue' } } },
      });
      const { path, body } = ASKS[caller];
      const response = await world.until(
        world.fetch(`http://breakwater${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      );
      const text = await world.until(response.text());
      assert.match(text, /^: breakwater continued target=b\/m attempts=2 fallback=interrupted$/m);
      const parser = CODECS[caller].createParser();
      const events = [...parser.parse([Buffer.from(text)]), ...parser.end()];
      assert.equal(events.map((event) => (event.type === 'delta' ? event.text : '')).join(''), WHOLE);
      assert.equal(events.filter(({ type }) => type === 'start').length, 1);
      assert.equal(events.filter(({ type }) => type === 'part_start').length, 1);
      assert.deepEqual(
        events.filter((event) => event.type === 'finish').map(({ reason }) => reason),
        ['stop'],
      );
      if (caller === 'anthropic-messages') assert.equal(text.match(/^event: message_(?:start|stop)$/gm)?.length, 2);
      if (caller === 'openai-chat') assert.equal(text.match(/^data: \[DONE\]$/gm)?.length, 1);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });
  }
}

test('a broken stream is not continued at a target that can not carry the request', async (t) => {
  const broken = (): SimulatedResponse => {
    const bytes = streamOf('openai-chat', [...BEGIN, ...(WHOLE.slice(0, AT).match(/.{1,9}/gs) ?? []).map(says)]);
    return { steps: [headStep(true), { do: 'send', bytes }, { do: 'wait', ms: 5 }, { do: 'break', code: 'ECONNRESET' }] };
  };
  const world = await startVirtualWorld(t, {
    providers: { a: broken, b: broken },
    configured: {
      a: { protocol: 'openai', baseUrl: 'http://a/v1', apiKey: 'sk-a' },
      b: { protocol: 'anthropic', baseUrl: 'http://b', apiKey: 'sk-b' },
    },
    models: {
      fast: [
        { target: 'a/m', prefill: true },
        { target: 'b/m', prefill: true },
      ],
    },
    config: { policy: { stream: { recover: 'continue' }, conversion: 'strict', retry: { baseDelay: '1ms', maxDelay: '2ms' } } },
  });
  const { text } = await world.answerTo({ stream: true, max_tokens: undefined, seed: 7 });
  assert.match(text, /stream_interrupted/);
  assert.equal(world.callsTo('b'), 0);
});
