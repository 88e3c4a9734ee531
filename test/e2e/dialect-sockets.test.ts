/** Both official SDKs over real sockets against Storm, which speaks both dialects and refuses what the real APIs refuse. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { askBy, CALLERS } from './dialect-callers.ts';
import type { CallerName, Heard } from './dialect-callers.ts';
import { startWorld } from './world.ts';
import type { World } from './world.ts';

const TEXT = 'größer 港口 🌊 calm.';
const messages = [{ role: 'user', content: `echo ${TEXT}` }];
const schema = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };

const TOOLS: Readonly<Record<CallerName, object>> = {
  openai: { tools: [{ type: 'function', function: { name: 'tide', parameters: schema } }], tool_choice: 'required' },
  anthropic: { tools: [{ name: 'tide', input_schema: schema }], tool_choice: { type: 'any' } },
};
const FORMAT: Readonly<Record<CallerName, object>> = {
  openai: { response_format: { type: 'json_schema', json_schema: { name: 'tide', schema, strict: true } } },
  anthropic: { output_config: { format: { type: 'json_schema', schema } } },
};

function start(
  t: TestContext,
  first: CallerName,
  storm: StormOptions = {},
  policy: NonNullable<ConfigInput['policy']> = {},
): Promise<World> {
  const second = first === 'openai' ? 'anthropic' : 'openai';
  return startWorld(t, {
    storms: { a: storm, b: {} },
    providers: { a: { protocol: first }, b: { protocol: second } },
    models: { fast: ['a/claude-sonnet-4-5', 'b/claude-sonnet-4-5'] },
    config: { policy },
  });
}

const callsOf = ({ storms }: World): number[] => [storms['a']!.stats().calls, storms['b']!.stats().calls];

for (const caller of CALLERS) {
  for (const target of CALLERS) {
    describe(`the ${caller} SDK against a Storm that speaks ${target}`, () => {
      for (const stream of [false, true]) {
        const form = stream ? 'streamed' : 'plain';
        const ask = (world: World, body: object): Promise<Heard> => askBy(caller, world.url, fetch, { stream, body: { ...body } });

        it(`text and usage arrive, ${form}`, async (t) => {
          const world = await start(t, target);
          const heard = await ask(world, { messages });
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, TEXT);
          assert.equal(heard.stop, caller === 'openai' ? 'stop' : 'end_turn');
          assert.ok(heard.usage![0] > 0 && heard.usage![2] > 0);
          assert.deepEqual(callsOf(world), [1, 0]);
        });

        it(`a call and its result make a conversation that the provider takes, ${form}`, async (t) => {
          const world = await start(t, target);
          const { calls, error, raw } = await ask(world, { messages, ...TOOLS[caller] });
          assert.equal(error, null, raw);
          const [call] = calls;
          assert.equal(call!.name, 'tide');
          assert.equal(typeof (call!.input as { at: unknown }).at, 'string');
          const heard = await ask(world, {
            messages: answered(caller, call!),
            ...TOOLS[caller],
            tool_choice: caller === 'openai' ? 'auto' : { type: 'auto' },
          });
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, TEXT);
          assert.deepEqual(callsOf(world), [2, 0]);
        });

        it(`structured output has the form that was asked for, ${form}`, async (t) => {
          const world = await start(t, target);
          const heard = await ask(world, { messages: [{ role: 'user', content: 'Where?' }], ...FORMAT[caller] });
          assert.equal(heard.error, null, heard.raw);
          assert.deepEqual(Object.keys(JSON.parse(heard.text) as object), ['at']);
          assert.deepEqual(callsOf(world), [1, 0]);
        });

        for (const kind of ['reset', 'close', '529', '503', '429-retry', '500-html', 'error-first', 'error-preamble'] as const) {
          if (!stream && kind === 'error-preamble') continue;
          it(`${kind} at the first target is not seen, ${form}`, async (t) => {
            const world = await start(t, target, { faults: [{ kind, retryAfter: 1 }] });
            const heard = await ask(world, { messages });
            assert.equal(heard.error, null, heard.raw);
            assert.equal(heard.text, TEXT);
            assert.deepEqual(callsOf(world), [1, 1]);
          });
        }
      }

      for (const kind of ['cut', 'cut-reset', 'cut-byte', 'error-content'] as const) {
        it(`${kind} after content ends in an error, with what came before it`, async (t) => {
          const world = await start(t, target, { faults: [{ kind }], timing: { tokensPerSecond: 20, eventsPerPacket: 1 } });
          const heard = await askBy(caller, world.url, fetch, { stream: true, body: { messages } });
          assert.equal(heard.error?.name, 'APIError', heard.raw);
          assert.equal(heard.error.status, undefined);
          assert.match(heard.error.message, /broke off its response/);
          assert.ok(TEXT.startsWith(heard.text) && heard.text.length < TEXT.length, heard.text);
          assert.equal(heard.stop, null);
          assert.deepEqual(callsOf(world), [1, 0]);
        });
      }

      it('silence before the headers and before content passes to the second target', async (t) => {
        for (const kind of ['silence', 'silence-content'] as const) {
          const world = await start(t, target, { faults: [{ kind }] }, { timeouts: { headers: '250ms', firstContent: '250ms' } });
          const heard = await askBy(caller, world.url, fetch, { stream: true, body: { messages } });
          assert.equal(heard.text, TEXT, heard.raw);
          assert.deepEqual(callsOf(world), [1, 1]);
        }
      });
    });
  }
}

function answered(caller: CallerName, { id, name, input }: Heard['calls'][number]): object[] {
  if (caller === 'openai') {
    const call = { id, type: 'function', function: { name, arguments: JSON.stringify(input) } };
    return [
      { role: 'user', content: 'When?' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: id, content: 'noon' },
      ...messages,
    ];
  }
  return [
    { role: 'user', content: 'When?' },
    { role: 'assistant', content: [{ type: 'tool_use', id, name, input }] },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: id, content: 'noon' },
        { type: 'text', text: messages[0]!.content },
      ],
    },
  ];
}

describe("Anthropic's SDK", () => {
  const sdkOf = (world: World): Anthropic => new Anthropic({ baseURL: world.url, apiKey: 'unused', maxRetries: 0 });
  const model = 'fast';

  it('sends signed thinking back to the provider that made it', async (t) => {
    const world = await start(t, 'anthropic');
    const sdk = sdkOf(world);
    const thinking = { type: 'enabled', budget_tokens: 1024 } as const;
    const ask = (turns: Anthropic.MessageParam[]): Promise<Anthropic.Message> =>
      sdk.messages.create({ model, max_tokens: 2000, thinking, messages: turns });
    const turn: Anthropic.MessageParam = { role: 'user', content: messages[0]!.content };
    const { content } = await ask([turn]);
    assert.deepEqual(
      content.map(({ type }) => type),
      ['thinking', 'text'],
    );
    const again = await ask([turn, { role: 'assistant', content }, turn]);
    assert.equal(again.content.at(-1)!.type, 'text');
    assert.deepEqual(callsOf(world), [2, 0]);
  });

  it('counts tokens at a provider that counts, and gets an estimate where none does', async (t) => {
    for (const target of CALLERS) {
      const world = await startWorld(t, { storms: { a: {} }, providers: { a: { protocol: target } } });
      const { data, response } = await sdkOf(world)
        .messages.countTokens({ model, messages: [{ role: 'user', content: 'How many tokens are these?' }] })
        .withResponse();
      assert.ok(data.input_tokens > 0);
      assert.equal(response.headers.get('x-breakwater-estimated'), target === 'openai' ? 'true' : null);
      assert.equal(response.headers.get('request-id'), response.headers.get('x-request-id'));
    }
  });

  it('lists models, and finds one by its name', async (t) => {
    const world = await start(t, 'openai');
    const sdk = sdkOf(world);
    const ids: string[] = [];
    for await (const { id } of sdk.models.list({ limit: 1000 })) ids.push(id);
    assert.ok(ids.includes('fast'), ids.join());
    const found = await sdk.models.retrieve('fast');
    assert.deepEqual([found.type, found.id, found.display_name], ['model', 'fast', 'fast']);
    await assert.rejects(
      sdk.models.retrieve('nothing'),
      (error) => error instanceof Anthropic.NotFoundError && /request_id/.test(error.message),
    );
  });

  it('is refused in its own words: no model, no body, no key', async (t) => {
    const world = await startWorld(t, { storms: { a: {} }, config: { clients: [{ name: 'web', key: 'a-long-client-key' }] } });
    const ask = (apiKey: string, body: object): Promise<unknown> =>
      new Anthropic({ baseURL: world.url, apiKey, maxRetries: 0 }).messages.create(body as Anthropic.MessageCreateParamsNonStreaming);
    const turns = [{ role: 'user', content: 'Hi' }];
    await assert.rejects(ask('wrong', { model, max_tokens: 5, messages: turns }), Anthropic.AuthenticationError);
    await assert.rejects(ask('a-long-client-key', { model: 'nothing', max_tokens: 5, messages: turns }), Anthropic.NotFoundError);
    await assert.rejects(ask('a-long-client-key', { model, max_tokens: 5, messages: 'x' }), Anthropic.BadRequestError);
    assert.equal(world.storms['a']!.stats().calls, 0);
  });
});
