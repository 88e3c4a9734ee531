import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateChoices } from '../content.ts';
import { isFailure } from '../dialect.ts';
import { createOpenAiDialect } from './dialect.ts';
import { toGoDuration } from './go-duration.ts';

const dialect = createOpenAiDialect([]);
const FACTS = { call: 1, created: 1, name: 'n', seed: 1, usage: { input: 1, output: 1, reasoning: 0 } };

/** Arbitrary JSON for fields that Storm reads. */
const anything = fc.jsonValue({ maxDepth: 4 });
const schema = fc.letrec((again) => ({
  schema: fc.record(
    {
      type: fc.constantFrom('object', 'array', 'string', 'integer', 'boolean', 'null'),
      properties: fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof({ maxDepth: 3 }, anything, again('schema')), { maxKeys: 4 }),
      items: fc.oneof({ maxDepth: 3 }, anything, again('schema')),
      enum: anything,
      anyOf: fc.array(again('schema'), { maxLength: 2 }),
      $ref: fc.constantFrom('#', '#/properties', 'x'),
      minItems: anything,
      minLength: fc.oneof(anything, fc.constant(1e9)),
    },
    { requiredKeys: [] },
  ),
})).schema;
const body = fc.record(
  {
    model: fc.constant('m'),
    messages: fc.oneof(anything, fc.array(fc.record({ role: fc.constant('user'), content: anything }), { minLength: 1, maxLength: 3 })),
    tools: fc.oneof(anything, fc.tuple(fc.record({ function: fc.record({ name: fc.string(), parameters: schema }) }))),
    tool_choice: fc.oneof(anything, fc.constant('required')),
    response_format: fc.oneof(anything, fc.record({ type: fc.constant('json_schema'), json_schema: fc.record({ schema }) })),
    n: fc.oneof(anything, fc.constantFrom(0, 3, 1e9)),
    max_tokens: anything,
    prompt: anything,
    input: anything,
    documents: anything,
    dimensions: anything,
    stream_options: anything,
    reason: anything,
  },
  { requiredKeys: ['model'] },
);

test('any request gets a JSON response or an error', () => {
  const paths = ['/v1/chat/completions', '/completions', '/v1/embeddings', '/rerank', '/v1/moderations'];
  fc.assert(
    fc.property(fc.constantFrom(...paths), body, (path, fields) => {
      const received = { method: 'POST', path, headers: {}, body: Buffer.from(JSON.stringify(fields)) };
      const read = dialect.route(received)!.read(received);
      if (isFailure(read)) {
        JSON.parse(dialect.failure(read).body.toString());
        return;
      }
      const choices = read.prompt === undefined ? [] : generateChoices(read.prompt, read.model, 1, () => 10, read.outputLimit);
      JSON.parse(read.body(choices, FACTS).body.toString());
      for (const { data } of read.events?.(choices, FACTS) ?? []) {
        assert.doesNotMatch(data, /\n/);
        if (data !== '[DONE]') JSON.parse(data);
      }
    }),
  );
});

test('an inline image counts as an image, not by its bytes', () => {
  const content = [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } }];
  const text = JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] });
  const received = { method: 'POST', path: '/chat/completions', headers: {}, body: Buffer.from(text) };
  const read = dialect.route(received)!.read(received);
  assert.ok(!isFailure(read) && read.inputTokens > 1500 && read.inputTokens < 1600);
});

test('waits are written as Go durations', () => {
  const written = [0, 0.2, 12, 1000, 1500, 60_000, 72_500, 7_384_000].map((ms) => toGoDuration(ms));
  assert.deepEqual(written, ['0s', '1ms', '12ms', '1s', '1.5s', '1m0s', '1m12.5s', '2h3m4s']);
});
