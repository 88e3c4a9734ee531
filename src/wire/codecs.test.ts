/** A conversion preserves the meaning of requests and responses, for every pair of dialects. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { CODECS } from './codecs.ts';
import type { TargetCapabilities, WriteEdits } from './conversion-loss.ts';
import { foldEvents, unfoldResponse } from './model-fold.ts';
import { DIALECT_NAMES } from './model.ts';
import type { FinishClass, ModelRequest, ModelResponse, RequestPart, ResponsePart, Turn, WriteOptions } from './model.ts';

const OPTIONS: WriteOptions = { id: 'req_1', model: 'asked', createdAt: 1_780_000_000, includeUsage: true, tools: [], echo: {} };
const ABLE: TargetCapabilities = {
  outputBoundField: 'max_completion_tokens',
  reasons: true,
  thinking: 'adaptive',
  samples: true,
  supportsImages: true,
  prefills: true,
  formats: true,
  outputMax: null,
};
const EDITS: WriteEdits = { model: 'm', askUsage: true, apply: (body) => body };

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.trim() !== '');
const args = fc.dictionary(word, fc.oneof(word, fc.integer(), fc.constant(null), fc.array(word, { maxLength: 3 })), { maxKeys: 3 });

const part: fc.Arbitrary<ResponsePart> = fc.oneof(
  word.map((text): ResponsePart => ({ head: { type: 'text' }, text, opaque: null })),
  word.map((text): ResponsePart => ({ head: { type: 'reasoning' }, text, opaque: null })),
  fc
    .record({ id: fc.stringMatching(/^[a-z0-9:_.-]{1,20}$/), name: fc.stringMatching(/^[a-z_]{1,12}$/), value: args })
    .map(({ id, name, value }): ResponsePart => ({
      head: { type: 'tool_call', id: `id_${id}`, name, kind: 'function' },
      text: JSON.stringify(value),
      opaque: null,
    })),
);

const response: fc.Arbitrary<ModelResponse> = fc
  .record({ parts: fc.array(part, { minLength: 1, maxLength: 6 }), length: fc.boolean(), input: fc.nat(9_999), output: fc.nat(9_999) })
  .map(({ parts, length, input, output }) => {
    const calls = parts.some(({ head }) => head.type === 'tool_call');
    const reason: FinishClass = length ? 'length' : calls ? 'tool_calls' : 'stop';
    const cached = Math.floor(input / 2);
    const usage = { inputTokens: input, cachedInputTokens: cached, outputTokens: output, reasoningTokens: Math.floor(output / 3) };
    return { id: 'r', model: 'm', choices: [{ index: 0, parts, finish: { reason, raw: '', stopSequence: null } }], usage };
  });

/** Text of each kind joined, and calls in order: dialects split text differently. */
function meaning({ choices, usage }: ModelResponse): unknown {
  const { parts, finish } = choices[0] ?? { parts: [], finish: null };
  const joined = (type: string): string => parts.map((one) => (one.head.type === type ? one.text : '')).join('');
  const calls = parts.flatMap(({ head, text }) =>
    head.type === 'tool_call' ? [{ name: head.name, arguments: JSON.parse(text) as unknown }] : [],
  );
  const counts = usage === null ? null : [usage.inputTokens, usage.cachedInputTokens, usage.outputTokens, usage.reasoningTokens ?? 0];
  // A length limit during calls: some dialects have one finish reason for both.
  return { text: joined('text'), reasoning: joined('reasoning'), calls, finish: finish?.reason, counts };
}

function pieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

for (const name of DIALECT_NAMES) {
  const codec = CODECS[name];

  test(`a response written as ${name} has the same meaning when parsed again, streaming or not, in any chunking`, () => {
    fc.assert(
      fc.property(response, fc.integer({ min: 1, max: 40 }), (given, size) => {
        const expected = meaning(given);
        assert.deepEqual(meaning(codec.parseResponse(codec.writeResponse(given, OPTIONS))), expected);
        const writer = codec.createWriter(OPTIONS);
        const stream = Buffer.from([...unfoldResponse(given)].map((event) => writer.write(event)).join(''));
        const parser = codec.createParser();
        const events = [...parser.parse(pieces(stream, size)), ...parser.end()];
        assert.deepEqual(meaning(foldEvents(events)), expected);
      }),
      { numRuns: 60 },
    );
  });
}

const textPart = word.map((text): RequestPart => ({ type: 'text', text }));
const image: RequestPart = { type: 'image', source: { kind: 'data', mime: 'image/png', base64: 'aGk=' }, detail: null };

/** A conversation in which every call has its result. */
const conversation: fc.Arbitrary<Turn[]> = fc
  .array(
    fc.record({ asked: fc.array(textPart, { minLength: 1, maxLength: 2 }), shown: fc.boolean(), text: word, called: fc.option(args) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((rounds) =>
    rounds.flatMap(({ asked, shown, text, called }, i): Turn[] => {
      const turns: Turn[] = [
        { role: 'user', parts: shown ? [...asked, image] : asked },
        { role: 'assistant', parts: [{ type: 'text', text }] },
      ];
      if (called === null) return turns;
      const id = `call_${i}`;
      const call: RequestPart = { type: 'tool_call', id, name: 'tide', kind: 'function', arguments: JSON.stringify(called), opaque: null };
      const result: RequestPart = { type: 'tool_result', callId: id, name: 'tide', parts: [{ type: 'text', text }], isError: false };
      return [turns[0]!, { role: 'assistant', parts: [{ type: 'text', text }, call] }, { role: 'user', parts: [result] }];
    }),
  );

const request: fc.Arbitrary<ModelRequest> = fc
  .record({ turns: conversation, system: fc.option(word), bound: fc.option(fc.integer({ min: 16, max: 9_999 })) })
  .map(({ turns, system, bound }): ModelRequest => ({
    stream: true,
    includeUsage: true,
    turns: system === null ? turns : [{ role: 'system', parts: [{ type: 'text', text: system }] }, ...turns],
    tools: [
      {
        type: 'function',
        name: 'tide',
        description: 'When is it high?',
        schema: { type: 'object', properties: { at: { type: 'string' } } },
        strict: null,
      },
    ],
    toolChoice: { type: 'required' },
    parallelToolCalls: null,
    outputBound: bound,
    choices: 1,
    temperature: 0.5,
    topP: null,
    topK: null,
    seed: null,
    presencePenalty: null,
    frequencyPenalty: null,
    stop: [],
    format: {
      type: 'json_schema',
      name: 'tides',
      description: null,
      schema: { type: 'object', properties: {}, additionalProperties: false },
      strict: true,
    },
    reasoning: null,
    userId: null,
    cacheKey: null,
    serviceTier: null,
    rest: [],
  }));

/** Parts in order, in whatever turns they are. */
function asked({ turns, tools, toolChoice, outputBound, temperature, format }: ModelRequest): unknown {
  const parts = turns.flatMap(({ role, parts: inTurn }) =>
    inTurn.map((one) => {
      if (one.type === 'text') return `${role}: ${one.text}`;
      if (one.type === 'image') return one.source;
      if (one.type === 'tool_call') return { call: one.id, name: one.name, arguments: JSON.parse(one.arguments) as unknown };
      return one.type === 'tool_result'
        ? { result: one.callId, text: one.parts.map((inner) => (inner.type === 'text' ? inner.text : '')).join('') }
        : one.type;
    }),
  );
  const names = tools.map(
    (tool) =>
      tool.type !== 'foreign' && { name: tool.name, description: tool.description, schema: tool.type === 'function' && tool.schema },
  );
  return { parts, names, toolChoice, outputBound, temperature, schema: format?.type === 'json_schema' && format.schema };
}

for (const name of DIALECT_NAMES) {
  test(`a request written as ${name} has the same meaning when parsed again`, () => {
    fc.assert(
      fc.property(request, (given) => {
        const written = CODECS[name].writeRequest(given, EDITS, ABLE);
        assert.ok(written.ok, JSON.stringify(written));
        assert.deepEqual(written.dropped, []);
        const read = CODECS[name].parseRequest(Buffer.from(written.body).toString(), true);
        const expected = {
          ...(asked(given) as object),
          ...(given.outputBound === null && name === 'anthropic-messages' && { outputBound: 4096 }),
        };
        // Gemini matches calls without an id by their position.
        const ids = (value: unknown): unknown =>
          JSON.parse(JSON.stringify(value).replaceAll(/"(call|result)":"[^"]*"/g, '"$1":""')) as unknown;
        if (name === 'gemini') assert.deepEqual(ids(asked(read)), ids(expected));
        else assert.deepEqual(asked(read), expected);
      }),
      { numRuns: 60 },
    );
  });
}
