import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOpenSchema, isStrictSchema, toClosedSchema } from './json-schemas.ts';

const text = { type: 'string' };

test('strict mode requires closed objects with all members required, at every depth', () => {
  const inner = { type: 'object', properties: { b: text }, required: ['b'], additionalProperties: false };
  const of = (schema: object): object => ({ type: 'object', properties: { a: schema }, required: ['a'], additionalProperties: false });
  assert.equal(isStrictSchema(of(inner)), true);
  assert.equal(isStrictSchema(of({ type: 'array', items: inner })), true);
  for (const loose of [
    { ...inner, required: [] },
    { ...inner, additionalProperties: true },
    { type: 'object', properties: {} },
  ]) {
    assert.equal(isStrictSchema(of(loose)), false);
    assert.equal(isStrictSchema(of({ anyOf: [text, loose] })), false);
    assert.equal(isStrictSchema({ $defs: { loose }, ...of({ $ref: '#/$defs/loose' }) }), false);
  }
});

test('an object with arbitrary names is open, at any depth', () => {
  const map = { type: 'object', additionalProperties: text };
  assert.equal(isOpenSchema({ type: 'object', properties: { a: text } }), false);
  assert.equal(isOpenSchema(map), true);
  assert.equal(isOpenSchema({ type: 'object', properties: { a: { type: 'array', items: map } } }), true);
  assert.equal(isOpenSchema({ type: 'object', patternProperties: { '^x': text } }), true);
});

test('a closed schema keeps its meaning: rejected keywords are moved to the description', () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: {
      age: { type: 'integer', minimum: 0, maximum: 150, description: 'In years' },
      names: { type: 'array', items: { ...text, maxLength: 5 }, minItems: 3 },
      of: { oneOf: [text, { type: 'object', properties: { x: text } }] },
      // Members with the names of keywords.
      minimum: text,
    },
    required: ['age'],
  };
  assert.deepEqual(toClosedSchema(schema), {
    type: 'object',
    properties: {
      age: { type: 'integer', description: 'In years (minimum: 0, maximum: 150)' },
      names: { type: 'array', items: { ...text, description: '(maxLength: 5)' }, description: '(minItems: 3)' },
      of: { anyOf: [text, { type: 'object', properties: { x: text }, additionalProperties: false }] },
      minimum: text,
    },
    required: ['age'],
    additionalProperties: false,
  });
});

test('a schema that is already closed is unchanged', () => {
  const schema = { type: 'object', properties: { a: text }, required: ['a'], additionalProperties: false };
  assert.deepEqual(toClosedSchema(schema), schema);
});
