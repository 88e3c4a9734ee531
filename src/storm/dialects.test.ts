/** Every dialect, without sockets: malformed requests, and behaviour common to all dialects. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { callsOf, generateChoices } from './content.ts';
import { isFailure } from './dialect.ts';
import type { ResponseFacts, ParsedRequest, Dialect, Received } from './dialect.ts';
import { createDialects } from './dialects.ts';
import { SSE } from './framings.ts';
import { createSeals } from './seals.ts';

const { all } = createDialects({ models: ['m'], seals: createSeals(() => 'test'), epochMs: () => 0 });
const FACTS: ResponseFacts = { call: 1, created: 1, name: 'n', seed: 1, usage: { input: 1, output: 1, reasoning: 0 } };

interface Form {
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body of a request whose text asks for a tool call. */
  body(text: string, result: boolean): object;
}

const FUNCTION = { name: 'f', parameters: { type: 'object' } };

const geminiBody = (text: string, result: boolean) => ({
  contents: [
    { role: 'user', parts: [{ text }] },
    ...(result
      ? [
          { role: 'model', parts: [{ functionCall: { name: 'f', args: {} } }] },
          { role: 'user', parts: [{ functionResponse: { name: 'f', response: {} } }] },
        ]
      : []),
  ],
  tools: [{ functionDeclarations: [FUNCTION] }],
});

const messagesBody = (text: string, result: boolean) => ({
  model: 'm',
  anthropic_version: 'x',
  max_tokens: 100,
  messages: [
    { role: 'user', content: text },
    ...(result
      ? [
          { role: 'assistant', content: [{ type: 'tool_use', id: 'i', name: 'f', input: {} }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'i', content: 'x' }] },
        ]
      : []),
  ],
  tools: [{ name: 'f', input_schema: { type: 'object' } }],
});

const FORMS: readonly Form[] = [
  {
    path: '/v1/chat/completions',
    body: (text, result) => ({
      model: 'm',
      messages: [{ role: 'user', content: text }, ...(result ? [{ role: 'tool', tool_call_id: 'i', content: 'x' }] : [])],
      tools: [{ type: 'function', function: FUNCTION }],
    }),
  },
  {
    path: '/v1/responses',
    body: (text, result) => ({
      model: 'm',
      input: [
        { role: 'user', content: text },
        ...(result
          ? [
              { type: 'function_call', call_id: 'i', name: 'f', arguments: '{}' },
              { type: 'function_call_output', call_id: 'i', output: 'x' },
            ]
          : []),
      ],
      tools: [{ type: 'function', ...FUNCTION }],
    }),
  },
  { path: '/v1/messages', headers: { 'anthropic-version': '2023-06-01' }, body: messagesBody },
  { path: '/model/m/invoke', body: messagesBody },
  { path: '/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict', body: messagesBody },
  { path: '/v1beta/models/m:generateContent', body: geminiBody },
  { path: '/v1beta/models/m:streamGenerateContent', body: geminiBody },
  {
    path: '/model/m/converse',
    body: (text, result) => ({
      messages: [
        { role: 'user', content: [{ text }] },
        ...(result
          ? [
              { role: 'assistant', content: [{ toolUse: { toolUseId: 'i', name: 'f', input: {} } }] },
              { role: 'user', content: [{ toolResult: { toolUseId: 'i', content: [] } }] },
            ]
          : []),
      ],
      toolConfig: { tools: [{ toolSpec: { name: 'f', inputSchema: { json: { type: 'object' } } } }] },
    }),
  },
];

function receive({ path, query, headers = {} }: Form, body: unknown): { dialect: Dialect; received: Received } {
  const received: Received = { method: 'POST', path, headers, body: Buffer.from(JSON.stringify(body)) };
  if (query !== undefined) received.query = query;
  const dialect = all.find((one) => one.route(received) !== undefined);
  assert.ok(dialect);
  return { dialect, received };
}

const generated = (request: ParsedRequest) =>
  request.prompt === undefined ? [] : generateChoices(request.prompt, request.model, 1, () => 10, request.outputLimit);

const anything = fc.jsonValue({ maxDepth: 4 });
/** Fields that some dialect reads, with arbitrary values. */
const NAMES = (
  'model messages input contents system tools tool_choice max_tokens stream thinking reasoning include text previous_response_id ' +
  'conversation generationConfig toolConfig systemInstruction requests content generateContentRequest inferenceConfig ' +
  'additionalModelRequestFields anthropic_version output_config stream_options'
).split(' ');
const fields = fc.record(Object.fromEntries(NAMES.map((name) => [name, anything])), { requiredKeys: [] });

describe('every dialect', () => {
  for (const form of [
    ...FORMS,
    { ...FORMS[5]!, path: '/v1beta/models/m:countTokens' },
    { ...FORMS[5]!, path: '/v1beta/models/m:embedContent' },
    { ...FORMS[5]!, path: '/v1beta/models/m:batchEmbedContents' },
    { ...FORMS[1]!, path: '/v1/responses/compact' },
    { ...FORMS[1]!, path: '/v1/responses/input_tokens' },
  ]) {
    test(`${form.path} responds to or rejects any request`, () => {
      fc.assert(
        fc.property(fields, fc.boolean(), (odd, onGood) => {
          const { dialect, received } = receive(form, onGood ? { ...form.body('x', false), ...odd } : odd);
          const read = dialect.route(received)!.read(received);
          if (isFailure(read)) {
            JSON.parse(dialect.failure(read).body.toString());
            return;
          }
          JSON.parse(read.body(generated(read), FACTS).body.toString());
          for (const event of read.events?.(generated(read), FACTS) ?? []) {
            assert.ok((read.framing ?? SSE).frame(event, 0).length > 0);
            if (event.data !== '[DONE]') JSON.parse(event.data);
          }
        }),
        { numRuns: 200 },
      );
    });
  }

  test('an object in place of an id is named in the failure, whatever it holds', () => {
    const { dialect, received } = receive(FORMS[1]!, { ...FORMS[1]!.body('x', false), previous_response_id: { toString: null } });
    const read = dialect.route(received)!.read(received);
    assert.ok(isFailure(read));
    assert.match(dialect.failure(read).body.toString(), /toString/);
  });

  test('a message that is no object is rejected', () => {
    const { dialect, received } = receive(FORMS[2]!, { ...FORMS[2]!.body('x', false), messages: [null] });
    assert.ok(isFailure(dialect.route(received)!.read(received)));
  });

  for (const form of FORMS) {
    test(`${form.path} calls the tool that a line of the text names, once`, () => {
      const kindOf = (text: string, result: boolean) => {
        const { dialect, received } = receive(form, form.body(text, result));
        const read = dialect.route(received)!.read(received);
        assert.ok(!isFailure(read), JSON.stringify(read));
        const [choice] = generated(read);
        const calls = callsOf(choice!).map(({ tool, deltas }) => `${tool}${deltas.join('')}`);
        return calls.length > 0 ? calls.join(' ') : choice!.kind;
      };
      assert.equal(kindOf('Please help.\ncall f {"a": 1}\nThanks.', false), 'f{"a":1}');
      assert.equal(kindOf('call f {"a": 1}\ncall g {}\ncall f {"b": 2}', false), 'f{"a":1} f{"b":2}');
      assert.equal(kindOf('call f {"a": 1}', true), 'text');
      assert.equal(kindOf('call g {"a": 1}', false), 'text');
      assert.equal(kindOf('call f {"a": }', false), 'text');
    });
  }

  test("a partial response is continued where the last turn is the model's own", () => {
    const partial = 'The storm came';
    const bodies: readonly [Form, object][] = [
      [
        FORMS[0]!,
        {
          model: 'm',
          messages: [
            { role: 'user', content: 'x' },
            { role: 'assistant', content: partial },
          ],
        },
      ],
      [
        FORMS[2]!,
        {
          model: 'm',
          max_tokens: 9,
          messages: [
            { role: 'user', content: 'x' },
            { role: 'assistant', content: partial },
          ],
        },
      ],
      [
        FORMS[5]!,
        {
          contents: [
            { role: 'user', parts: [{ text: 'x' }] },
            { role: 'model', parts: [{ text: partial }] },
          ],
        },
      ],
    ];
    for (const [form, body] of bodies) {
      const { dialect, received } = receive(form, body);
      const read = dialect.route(received)!.read(received);
      assert.ok(!isFailure(read) && read.prompt?.partial === partial, form.path);
    }
    const { dialect, received } = receive(FORMS[2]!, {
      model: 'm',
      max_tokens: 9,
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: `${partial} ` },
      ],
    });
    const refused = dialect.route(received)!.read(received);
    assert.ok(isFailure(refused) && /trailing whitespace/.test(refused.message ?? ''));
  });

  test('models that always reason do so without being asked', () => {
    const reasons = (form: Form, body: object) => {
      const { dialect, received } = receive(form, body);
      const read = dialect.route(received)!.read(received);
      return isFailure(read) ? (read.message ?? '') : read.prompt?.reasons;
    };
    const gemini = (model: string, more: object = {}) =>
      reasons({ ...FORMS[5]!, path: `/v1beta/models/${model}:generateContent` }, { ...geminiBody('x', false), ...more });
    const off = { generationConfig: { thinkingConfig: { thinkingBudget: 0 } } };
    assert.deepEqual([gemini('gemini-3-pro'), gemini('gemini-2.5-pro'), gemini('gemini-3-pro', off)], [true, false, false]);
    const turns = geminiBody('x', true);
    assert.match(String(gemini('gemini-3-pro', turns)), /missing a thought_signature/);
    const responses = (model: string, more: object = {}) => reasons(FORMS[1]!, { model, input: 'x', ...more });
    assert.deepEqual([responses('gpt-5-storm'), responses('o3'), responses('gpt-4o')], [true, true, false]);
    assert.equal(responses('gpt-5-storm', { reasoning: { effort: 'none' } }), false);
  });

  test('unrouted paths get the error format of the dialect that they resemble', () => {
    const claimed = ['/v1/messages/x', '/v1/responses/x/y', '/v1beta/x', '/v1/models/m:strange', '/model/x/y', '/openai/deployments/d/x'];
    const names = claimed.map((path) => all.find((dialect) => dialect.claims(path))?.name);
    assert.deepEqual(names, ['anthropic-messages', 'openai-responses', 'gemini', 'gemini', 'bedrock', 'openai-responses']);
  });
});

describe('opaque values', () => {
  const seals = createSeals(() => 'a');
  const owner = { key: 'k', model: 'm' };
  const sealed = seals.seal('thinking', owner, 'text', 1);

  test('a value is valid for its kind, key, model and text at its own provider', () => {
    assert.equal(seals.verify('thinking', sealed, owner, 'text'), 'good');
    assert.equal(createSeals(() => 'a').verify('thinking', sealed, owner, 'text'), 'good');
    assert.equal(createSeals(() => 'b').verify('thinking', sealed, owner, 'text'), 'broken');
    assert.equal(seals.verify('reasoning', sealed, owner, 'text'), 'broken');
    assert.equal(seals.verify('thinking', sealed, owner, 'other'), 'broken');
    assert.equal(seals.verify('thinking', sealed, { ...owner, key: 'x' }, 'text'), 'other key');
    assert.equal(seals.verify('thinking', sealed, { ...owner, model: 'x' }, 'text'), 'other model');
  });

  test('an altered or malformed value is broken', () => {
    for (const odd of [undefined, null, 7, '', 'x', sealed.slice(1), `${sealed}AAAA`]) {
      assert.equal(seals.verify('thinking', odd, owner, 'text'), 'broken');
    }
    const bytes = Buffer.from(sealed, 'base64');
    for (let at = 0; at < bytes.length; at++) {
      const altered = Buffer.from(bytes);
      altered[at] = altered[at]! ^ 1;
      assert.equal(seals.verify('thinking', altered.toString('base64'), owner, 'text'), 'broken', `byte ${at}`);
    }
  });

  test('two values for the same text differ', () => {
    assert.notEqual(seals.seal('thinking', owner, 'text', 1), seals.seal('thinking', owner, 'text', 2));
    assert.notEqual(seals.idOf(1), createSeals(() => 'b').idOf(1));
  });
});
