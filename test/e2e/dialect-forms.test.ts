/** What requests and responses of each form become between a caller of one dialect and a target of either: by the official SDKs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { askBy, CALLERS } from './dialect-callers.ts';
import type { CallerName, Heard, Question } from './dialect-callers.ts';
import { RICH } from './dialect-rich.ts';
import { FOREIGN, headStep, wholeAnswer, WIRES } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';

/** JSON whose shape the assertions say. */
// oxlint-disable-next-line typescript/no-explicit-any
type Json = Record<string, any>;

interface Asked {
  readonly heard: Heard;
  /** The body that the provider got; null: it was not asked. */
  readonly sent: Json | null;
}

const CLAUDE = 'claude-sonnet-4-5';

async function ask(t: TestContext, caller: CallerName, target: CallerName, question: Question, answer?: Play): Promise<Asked> {
  const world = await startVirtualWorld(t, {
    providers: { a: () => (answer ?? usual)(target, question.stream) },
    configured: { a: { protocol: target, baseUrl: target === 'openai' ? 'http://a/v1' : 'http://a', apiKey: 'sk-a' } },
    models: { fast: [target === 'openai' ? 'a/gpt-5' : `a/${CLAUDE}`] },
  });
  const heard = await world.until(askBy(caller, 'http://breakwater', world.fetch, question));
  assert.ok(world.upstream.calls.length <= 1, `${world.upstream.calls.length} calls`);
  const [call] = world.upstream.calls;
  return { heard, sent: call === undefined ? null : (JSON.parse(call.body) as Json) };
}

type Play = (target: CallerName, stream: boolean) => SimulatedResponse;
const usual: Play = (target, stream) => wholeAnswer(WIRES[target], stream);

const SCHEMA = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };
const TOOLS: Readonly<Record<CallerName, Json>> = {
  openai: {
    tools: ['tide', 'wind'].map((name) => ({ type: 'function', function: { name, description: `The ${name}`, parameters: SCHEMA } })),
  },
  anthropic: { tools: ['tide', 'wind'].map((name) => ({ name, description: `The ${name}`, input_schema: SCHEMA })) },
};
/** Names and schemas of the tools in a body of either dialect. */
function toolsIn(target: CallerName, { tools }: Json): unknown {
  return (tools as Json[]).map((tool) =>
    target === 'openai'
      ? [tool['function'].name, tool['function'].description, tool['function'].parameters]
      : [tool['name'], tool['description'], tool['input_schema']],
  );
}

const IMAGE = 'iVBORw0KGgo=';

for (const caller of CALLERS) {
  for (const target of CALLERS) {
    const isOther = caller !== target;
    describe(`the ${caller} SDK and a target that speaks ${target}`, () => {
      for (const stream of [false, true]) {
        const form = stream ? 'streamed' : 'plain';

        it(`reasoning, text, calls at once, the reason to stop and the usage arrive, ${form}`, async (t) => {
          const { heard, sent } = await ask(t, caller, target, { stream, body: TOOLS[caller] }, RICH);
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, 'Let me look.');
          assert.equal(heard.reasoning, 'Two tools.');
          assert.deepEqual(
            heard.calls.map(({ name, input }) => [name, input]),
            [
              ['tide', { at: 'Skagen', n: 1.1 }],
              ['wind', {}],
            ],
          );
          assert.equal(heard.stop, caller === 'openai' ? 'tool_calls' : 'tool_use');
          assert.deepEqual(heard.usage, [100, 60, 30]);
          assert.doesNotMatch(heard.raw, FOREIGN[caller]);
          if (caller === 'anthropic') for (const { id } of heard.calls) assert.match(id, /^toolu_[A-Za-z0-9_-]+$/);
          assert.deepEqual(toolsIn(target, sent!), [
            ['tide', 'The tide', SCHEMA],
            ['wind', 'The wind', SCHEMA],
          ]);
          assert.equal(sent!['stream'] ?? false, stream);
        });

        it(`the results of calls reach the provider under its own ids, an error as one, ${form}`, async (t) => {
          const { heard } = await ask(t, caller, target, { stream, body: TOOLS[caller] }, RICH);
          const [tide, wind] = heard.calls;
          const body = { ...TOOLS[caller], messages: conversation(caller, tide!, wind!) };
          const next = await ask(t, caller, target, { stream, body });
          assert.equal(next.heard.error, null, next.heard.raw);
          assert.deepEqual(resultsIn(target, next.sent!), [
            [target === 'openai' ? 'call_tide:0' : 'toolu_tide', 'high at noon', false],
            [
              target === 'openai' ? 'call_wind:1' : 'toolu_wind',
              caller === 'openai' ? 'no station' : target === 'openai' ? 'Error: no station' : 'no station',
              caller === 'anthropic' && target === 'anthropic',
            ],
          ]);
          assert.deepEqual(callsIn(target, next.sent!), [
            ['tide', { at: 'Skagen', n: 1.1 }],
            ['wind', {}],
          ]);
        });
      }

      for (const stream of [false, true]) {
        it(`a provider that answers ${stream ? 'whole where a stream was asked for' : 'by a stream where none was asked for'} is understood, its usage too`, async (t) => {
          const { heard } = await ask(t, caller, target, { stream, body: TOOLS[caller] }, () => RICH(target, !stream));
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, 'Let me look.');
          assert.equal(heard.calls.length, 2);
          assert.deepEqual(heard.usage, [100, 60, 30]);
        });
      }

      it('images, system text, bounds, stop sequences and sampling reach the provider', async (t) => {
        const { heard, sent } = await ask(t, caller, target, { stream: false, body: everything(caller) });
        assert.equal(heard.error, null, heard.raw);
        const { system, images, texts } = saidIn(target, sent!);
        assert.equal(system, 'Be brief.');
        assert.deepEqual(images, [`data:image/png;base64,${IMAGE}`, 'https://example.com/a.png']);
        assert.deepEqual(texts, ['What is this?', 'A harbour.', 'And this?']);
        assert.equal(sent!['max_tokens'], 77);
        assert.deepEqual(sent![target === 'openai' ? 'stop' : 'stop_sequences'], ['END', 'STOP']);
        assert.equal(sent!['temperature'], 0.5);
        assert.equal(heard.headers.get('x-breakwater-dropped'), null);
      });

      it('structured output is asked for in the form of the target', async (t) => {
        const json = '{"at":"Skagen"}';
        const { heard, sent } = await ask(t, caller, target, { stream: false, body: FORMAT[caller] }, () => saying(target, json));
        assert.equal(heard.text, json);
        const schema = target === 'openai' ? sent!['response_format'].json_schema.schema : sent!['output_config'].format.schema;
        assert.deepEqual(schema, SCHEMA);
      });

      it('a choice of tools and one call at a time are asked for in the words of the target', async (t) => {
        const choice =
          caller === 'openai'
            ? { tool_choice: 'required', parallel_tool_calls: false }
            : { tool_choice: { type: 'any', disable_parallel_tool_use: true } };
        const { sent } = await ask(t, caller, target, { stream: false, body: { ...TOOLS[caller], ...choice } }, RICH);
        if (target === 'openai') assert.deepEqual([sent!['tool_choice'], sent!['parallel_tool_calls']], ['required', false]);
        else assert.deepEqual(sent!['tool_choice'], { type: 'any', disable_parallel_tool_use: true });
      });

      if (isOther) {
        it('what is left out is named, and nothing else', async (t) => {
          const extra =
            caller === 'openai'
              ? { seed: 7, logprobs: true, top_p: 0.9, temperature: 0.1 }
              : { top_k: 5, inference_geo: 'eu', speed: 'fast' };
          const { heard, sent } = await ask(t, caller, target, { stream: false, body: extra });
          assert.equal(heard.error, null, heard.raw);
          const dropped = heard.headers.get('x-breakwater-dropped')!.split(', ').toSorted();
          assert.deepEqual(dropped, caller === 'openai' ? ['logprobs', 'seed', 'top_p'] : ['inference_geo', 'speed', 'top_k']);
          for (const name of dropped) assert.equal(sent![name], undefined);
        });

        it('a field whose name no header takes is left out like any other', async (t) => {
          const { heard } = await ask(t, caller, target, { stream: false, body: { 'a\r\nx-evil: 1': 1, 港口: 1, '\ud800': 1 } });
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.headers.get('x-breakwater-dropped'), 'a__x-evil:_1, __, _');
          assert.equal(heard.headers.get('x-evil'), null);
        });

        it('what the target has no place for is refused before it is asked, with the name of the field', async (t) => {
          const body = caller === 'openai' ? { n: 2 } : { mcp_servers: [{ type: 'url', url: 'https://example.com', name: 'x' }] };
          const { heard, sent } = await ask(t, caller, target, { stream: false, body });
          assert.equal(sent, null);
          assert.equal(heard.error!.name, 'BadRequestError');
          assert.match(heard.error!.message, caller === 'openai' ? /'n' can't be converted/ : /'mcp_servers' can't be converted/);
        });
      }
    });
  }
}

function conversation(caller: CallerName, tide: Heard['calls'][number], wind: Heard['calls'][number]): Json[] {
  if (caller === 'openai') {
    const call = ({ id, name, input }: Heard['calls'][number]): Json => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(input) },
    });
    return [
      { role: 'user', content: 'When is it high?' },
      { role: 'assistant', content: 'Let me look.', tool_calls: [call(tide), call(wind)] },
      { role: 'tool', tool_call_id: tide.id, content: 'high at noon' },
      { role: 'tool', tool_call_id: wind.id, content: 'no station' },
    ];
  }
  const use = ({ id, name, input }: Heard['calls'][number]): Json => ({ type: 'tool_use', id, name, input });
  return [
    { role: 'user', content: 'When is it high?' },
    { role: 'assistant', content: [{ type: 'text', text: 'Let me look.' }, use(tide), use(wind)] },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: tide.id, content: [{ type: 'text', text: 'high at noon' }] },
        { type: 'tool_result', tool_use_id: wind.id, content: 'no station', is_error: true },
      ],
    },
  ];
}

/** Id, text and error flag of each result. */
function resultsIn(target: CallerName, { messages }: Json): unknown {
  if (target === 'openai')
    return (messages as Json[]).filter(({ role }) => role === 'tool').map((one) => [one['tool_call_id'], one['content'], false]);
  const text = (content: unknown): unknown =>
    Array.isArray(content) ? (content as Json[]).map((block) => block['text']).join('') : content;
  return (messages as Json[])
    .flatMap(({ content }) => (Array.isArray(content) ? (content as Json[]) : []))
    .filter(({ type }) => type === 'tool_result')
    .map((block) => [block['tool_use_id'], text(block['content']), block['is_error'] === true]);
}

function callsIn(target: CallerName, { messages }: Json): unknown {
  if (target === 'openai') {
    const calls = (messages as Json[]).flatMap((message) => (message['tool_calls'] ?? []) as Json[]);
    return calls.map(({ function: called }) => [called.name, JSON.parse(called.arguments)]);
  }
  return (messages as Json[])
    .flatMap(({ content }) => (Array.isArray(content) ? (content as Json[]) : []))
    .filter(({ type }) => type === 'tool_use')
    .map((block) => [block['name'], block['input']]);
}

function everything(caller: CallerName): Json {
  const bounds = { max_tokens: 77, temperature: 0.5 };
  if (caller === 'openai') {
    const image = (url: string): Json => ({ type: 'image_url', image_url: { url } });
    return {
      ...bounds,
      stop: ['END', 'STOP'],
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'What is this?' }, image(`data:image/png;base64,${IMAGE}`)] },
        { role: 'assistant', content: 'A harbour.' },
        { role: 'user', content: [image('https://example.com/a.png'), { type: 'text', text: 'And this?' }] },
      ],
    };
  }
  return {
    ...bounds,
    stop_sequences: ['END', 'STOP'],
    system: [{ type: 'text', text: 'Be brief.' }],
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: IMAGE } },
        ],
      },
      { role: 'assistant', content: 'A harbour.' },
      {
        role: 'user',
        content: [
          { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
          { type: 'text', text: 'And this?' },
        ],
      },
    ],
  };
}

function saidIn(target: CallerName, body: Json): { system: string; images: string[]; texts: string[] } {
  const messages = body['messages'] as Json[];
  const blocks = messages
    .filter(({ role }) => role === 'user' || role === 'assistant')
    .flatMap(({ content }) => (typeof content === 'string' ? [{ type: 'text', text: content }] : (content as Json[])));
  const texts = blocks.flatMap((block) => (block['type'] === 'text' ? [block['text'] as string] : []));
  const url = (block: Json): string[] => {
    if (block['type'] === 'image_url') return [block['image_url'].url];
    if (block['type'] !== 'image') return [];
    const { source } = block as { source: Json };
    return [source['type'] === 'url' ? source['url'] : `data:${source['media_type']};base64,${source['data']}`];
  };
  const system =
    target === 'anthropic'
      ? (body['system'] as Json[]).map(({ text }) => text as string)
      : messages.filter(({ role }) => role === 'system' || role === 'developer').map(({ content }) => content as string);
  return { system: system.join(''), images: blocks.flatMap(url), texts };
}

const FORMAT: Readonly<Record<CallerName, Json>> = {
  openai: { response_format: { type: 'json_schema', json_schema: { name: 'tide', schema: SCHEMA, strict: true } } },
  anthropic: { output_config: { format: { type: 'json_schema', schema: SCHEMA } } },
};

function saying(target: CallerName, text: string): SimulatedResponse {
  const body = WIRES[target].plain.replace(JSON.stringify('one two three'), JSON.stringify(text));
  return { steps: [headStep(false), { do: 'send', bytes: body }] };
}
