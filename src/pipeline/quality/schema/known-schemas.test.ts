/** Callers' schemas under limits: no schema and no text exceeds them, and schemas of different clients are separate. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KnownSchemas } from './known-schemas.ts';

const textOf = (schema: unknown): string => JSON.stringify(schema);
const fitOf = (schema: unknown, text: string): string => new KnownSchemas().fit('a', textOf(schema), text);
const boats = { type: 'object', properties: { boats: { type: 'integer' } }, required: ['boats'], additionalProperties: false };

describe('a schema', () => {
  it('validates, with hundreds of members too', () => {
    assert.equal(fitOf(boats, '{"boats":7}'), 'fits');
    assert.equal(fitOf(boats, '{"boats":"seven"}'), 'differs');
    const properties = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`member${i}`, boats]));
    assert.equal(fitOf({ type: 'object', properties }, '{"member59":{"boats":0.5}}'), 'differs');
  });

  it('accepts decimal multiples', () => {
    const cents = { type: 'number', multipleOf: 0.01 };
    for (const price of ['19.99', '0.07', '1.1', '4.35', '1234567.89', '0', '-8.2', '1e15'])
      assert.equal(fitOf(cents, price), 'fits', price);
    for (const price of ['19.999', '0.005', '1234567.891']) assert.equal(fitOf(cents, price), 'differs', price);
    assert.equal(fitOf({ multipleOf: 0.1 }, '0.3'), 'fits');
    assert.equal(fitOf({ multipleOf: 7 }, '9007199254740989'), 'differs');
    assert.equal(fitOf({ multipleOf: 3 }, '9'), 'fits');
    assert.equal(fitOf({ multipleOf: 1e-8 }, '1.5e-8'), 'differs');
  });

  it('is read as the draft that it names', () => {
    const tuple = { items: [{ type: 'integer' }, { type: 'string' }], additionalItems: false };
    const drafts = [
      'http://json-schema.org/draft-07/schema#',
      'http://json-schema.org/draft-06/schema',
      'https://json-schema.org/draft-07/schema',
    ];
    for (const $schema of [...drafts, 'https://json-schema.org/draft/2019-09/schema']) {
      assert.equal(fitOf({ $schema, ...tuple }, '[1,"a"]'), 'fits', $schema);
      assert.equal(fitOf({ $schema, ...tuple }, '["a",1]'), 'differs', $schema);
      assert.equal(fitOf({ $schema, ...tuple }, '[1,"a",2]'), 'differs', $schema);
      assert.equal(fitOf({ $schema, prefixItems: [{ type: 'integer' }] }, '["a"]'), 'fits', $schema);
    }
    const [draft7] = drafts;
    const beside = { $ref: '#/definitions/x', minLength: 9, definitions: { x: { type: 'string' } } };
    assert.equal(fitOf({ $schema: draft7, ...beside }, '"a"'), 'fits');
    assert.equal(fitOf({ $schema: draft7, dependentRequired: { a: ['b'] } }, '{"a":1}'), 'fits');
    assert.equal(fitOf({ $schema: draft7, dependencies: { a: ['b'] } }, '{"a":1}'), 'differs');
    for (const $schema of ['https://json-schema.org/draft/2020-12/schema', 'https://example.com/own', undefined, 7]) {
      assert.equal(fitOf({ $schema, prefixItems: [{ type: 'integer' }] }, '["a"]'), 'differs', String($schema));
      assert.equal(fitOf({ $schema, dependentRequired: { a: ['b'] } }, '{"a":1}'), 'differs', String($schema));
    }
  });

  it('of one client is separate from those of others, whatever its $id', () => {
    const schemas = new KnownSchemas();
    const named = (type: string): string => textOf({ $id: 'https://example.com/x', type });
    assert.equal(schemas.fit('a', named('string'), '"x"'), 'fits');
    assert.equal(schemas.fit('b', named('number'), '"x"'), 'differs');
    assert.equal(schemas.fit('a', named('string'), '"x"'), 'fits');
    assert.equal(schemas.fit('a', named('number'), '"x"'), 'differs');
  });

  it('is cached within limits', () => {
    const schemas = new KnownSchemas();
    for (let i = 0; i < 230; i++) assert.equal(schemas.fit('a', textOf({ const: i }), String(i)), 'fits');
    assert.equal(schemas.size, 200);
    const long = (i: number): string => textOf({ const: i, description: 'x'.repeat(100_000) });
    for (let i = 0; i < 20; i++) assert.equal(schemas.fit('a', long(i), String(i)), 'fits');
    assert.ok(schemas.size <= 10, `${schemas.size} of them`);
  });
});

describe('a hostile schema gives no verdict, and stays within its limit:', () => {
  let deep: unknown = { type: 'string' };
  for (let i = 0; i < 20_000; i++) deep = { not: deep };
  const branch = { type: 'array', items: { $ref: '#/$defs/x' } };
  const nested = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
  const cases: readonly (readonly [name: string, schema: unknown, text: string])[] = [
    ['a remote reference is never fetched', { $ref: 'http://127.0.0.1:9/schema.json' }, '1'],
    ['a reference that does not resolve', { $ref: '#/properties/nowhere' }, '1'],
    ['no schema at all', { type: 'no such type' }, '1'],
    ['one that is too deep', deep, '1'],
    ['a text that is too deep', { $ref: '#/$defs/x', $defs: { x: branch } }, nested(100_000)],
    ['an expression with catastrophic backtracking', { type: 'string', pattern: '^(a+)+$' }, JSON.stringify(`${'a'.repeat(60)}!`)],
    ['members by such an expression', { patternProperties: { '^(a+)+$': {} } }, JSON.stringify({ [`${'a'.repeat(60)}!`]: 1 })],
    ['branches that double', { $ref: '#/$defs/x', $defs: { x: { anyOf: [branch, branch] } } }, nested(60)],
    [
      'a list of objects that must all differ',
      { type: 'array', uniqueItems: true },
      JSON.stringify(Array.from({ length: 50_000 }, (_, i) => ({ i }))),
    ],
  ];
  for (const [name, schema, text] of cases) {
    it(name, () => {
      const schemas = new KnownSchemas();
      const startedAt = process.threadCpuUsage();
      for (let i = 0; i < 50; i++) assert.match(schemas.fit('a', textOf(schema), text), /is invalid|timed out/);
      const { user } = process.threadCpuUsage(startedAt);
      assert.ok(user < 10_000_000, `${user} µs for fifty of them`);
    });
  }
});
