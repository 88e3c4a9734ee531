/** Clouds as targets over real sockets: the official SDKs ask the gateway, Storm answers as the cloud does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { CLOUD_TARGETS } from './cloud-targets.ts';
import type { CloudTarget } from './cloud-targets.ts';
import { startCloudWorld } from './cloud-world.ts';
import type { CloudWorld } from './cloud-world.ts';
import { askBy, CALLERS } from './dialect-callers.ts';
import type { CallerName, Heard } from './dialect-callers.ts';

const TEXT = 'größer 港口 🌊 calm.';
const messages = [{ role: 'user' as const, content: `echo ${TEXT}` }];
const schema = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };
const TOOLS: Readonly<Record<CallerName, object>> = {
  openai: { tools: [{ type: 'function', function: { name: 'tide', parameters: schema } }], tool_choice: 'required' },
  anthropic: { tools: [{ name: 'tide', input_schema: schema }], tool_choice: { type: 'any' } },
};

/** A cloud before a plain provider: what can't be served by the first goes to the second. */
function start(
  t: TestContext,
  { provider, model, keys }: CloudTarget,
  storm: StormOptions = {},
  policy: NonNullable<ConfigInput['policy']> = {},
): Promise<CloudWorld> {
  return startCloudWorld(t, {
    storms: { a: { apiKeys: [...keys], keepBodies: 10, ...storm }, b: {} },
    providers: { a: provider, b: { protocol: 'openai', apiKey: 'sk-b' } },
    models: { fast: [`a/${model}`, 'b/m'] },
    config: { policy },
  });
}

for (const [name, target] of Object.entries(CLOUD_TARGETS)) {
  describe(name, () => {
    for (const caller of CALLERS) {
      for (const stream of [false, true]) {
        const form = stream ? 'streamed' : 'non-streaming';
        const ask = (world: CloudWorld, body: object = { messages }): Promise<Heard> =>
          askBy(caller, world.url, fetch, { stream, body: { ...body } });

        it(`serves the ${caller} SDK, ${form}`, async (t) => {
          const world = await start(t, target);
          const heard = await ask(world);
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, TEXT);
          assert.ok(heard.usage![0] > 0 && heard.usage![2] > 0);
          assert.deepEqual(world.calls(), [1, 0]);
          const { byPath, log } = world.storms['a']!.stats();
          assert.equal(byPath[target.paths[stream ? 1 : 0]], 1, JSON.stringify(byPath));
          assert.equal(log[0]!.model, target.model);
          assert.equal(heard.headers.get('x-breakwater-target'), `a/${target.model}`);
        });

        it(`calls a tool for the ${caller} SDK, ${form}`, async (t) => {
          const world = await start(t, target);
          const { calls, error, raw } = await ask(world, { messages, ...TOOLS[caller] });
          assert.equal(error, null, raw);
          assert.equal(calls[0]!.name, 'tide');
          assert.equal(typeof (calls[0]!.input as { at: unknown }).at, 'string');
          assert.deepEqual(world.calls(), [1, 0]);
        });

        for (const kind of ['429', '500', '503', '529', '403', 'reset', 'close', 'error-first', 'error-preamble'] as const) {
          if (!stream && kind === 'error-preamble') continue;
          it(`${kind} passes the ${caller} SDK to another provider unseen, ${form}`, async (t) => {
            const world = await start(t, target, { faults: [{ kind }] });
            const heard = await ask(world);
            assert.equal(heard.error, null, heard.raw);
            assert.equal(heard.text, TEXT);
            assert.deepEqual(world.calls(), [1, 1]);
          });
        }
      }

      for (const kind of ['cut', 'cut-reset', 'cut-byte', 'error-content'] as const) {
        it(`${kind} after content ends in an error for the ${caller} SDK, never in a complete response`, async (t) => {
          const world = await start(t, target, { faults: [{ kind }], timing: { tokensPerSecond: 20, eventsPerPacket: 1 } });
          const heard = await askBy(caller, world.url, fetch, { stream: true, body: { messages } });
          assert.equal(heard.error?.name, 'APIError', heard.raw);
          assert.ok(TEXT.startsWith(heard.text) && heard.text.length < TEXT.length, heard.text);
          assert.equal(heard.stop, null);
          assert.deepEqual(world.calls(), [1, 0]);
        });
      }
    }

    it('takes a call and its result back as a conversation', async (t) => {
      for (const caller of CALLERS) {
        const world = await start(t, target);
        const first = await askBy(caller, world.url, fetch, { stream: false, body: { messages, ...TOOLS[caller] } });
        const { id, name: called, input } = first.calls[0]!;
        const turns =
          caller === 'openai'
            ? [
                ...messages,
                {
                  role: 'assistant',
                  content: null,
                  tool_calls: [{ id, type: 'function', function: { name: called, arguments: JSON.stringify(input) } }],
                },
                { role: 'tool', tool_call_id: id, content: 'noon' },
              ]
            : [
                ...messages,
                { role: 'assistant', content: [{ type: 'tool_use', id, name: called, input }] },
                { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'noon' }] },
              ];
        const free = caller === 'openai' ? 'auto' : { type: 'auto' };
        for (const stream of [false, true]) {
          const heard = await askBy(caller, world.url, fetch, { stream, body: { ...TOOLS[caller], messages: turns, tool_choice: free } });
          assert.equal(heard.error, null, heard.raw);
          assert.notEqual(heard.text, '');
        }
        assert.deepEqual(world.calls(), [3, 0]);
      }
    });

    it('is the second choice of a request that another provider fails', async (t) => {
      const { provider, model, keys } = target;
      const world = await startCloudWorld(t, {
        storms: { a: { faults: [{ kind: '503' }] }, b: { apiKeys: [...keys] } },
        providers: { a: { protocol: 'anthropic', apiKey: 'sk-a' }, b: provider },
        models: { fast: ['a/claude-haiku-4-5', `b/${model}`] },
      });
      for (const stream of [false, true]) {
        const heard = await askBy('anthropic', world.url, fetch, { stream, body: { messages } });
        assert.equal(heard.error, null, heard.raw);
        assert.equal(heard.text, TEXT);
      }
      assert.deepEqual(world.calls(), [2, 2]);
    });

    it("serves the Responses API and Google's SDK", async (t) => {
      const world = await start(t, target);
      const openai = new OpenAI({ baseURL: `${world.url}/v1`, apiKey: 'unused', maxRetries: 0 });
      assert.equal((await openai.responses.create({ model: 'fast', input: `echo ${TEXT}` })).output_text, TEXT);
      let text = '';
      for await (const event of await openai.responses.create({ model: 'fast', input: `echo ${TEXT}`, stream: true })) {
        if (event.type === 'response.output_text.delta') text += event.delta;
      }
      assert.equal(text, TEXT);
      const google = new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: world.url } });
      const asked = { model: 'fast', contents: `echo ${TEXT}` };
      assert.equal((await google.models.generateContent(asked)).text, TEXT);
      let streamed = '';
      for await (const chunk of await google.models.generateContentStream(asked)) streamed += chunk.text ?? '';
      assert.equal(streamed, TEXT);
      assert.equal(world.calls()[1], 0);
    });
  });
}
