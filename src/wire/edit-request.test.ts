import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { scanObject } from './json-scan.ts';
import type { RequestBody } from './request-body.ts';
import { encodeRequest } from './edit-request.ts';
import type { RequestEdits } from './dialect.ts';

function bodyOf(text: string): RequestBody {
  const bytes = Buffer.from(text);
  const scan = scanObject(bytes);
  assert.ok(scan.ok);
  return { bytes, members: scan.members, values: scan.values, contentType: null, passed: null };
}

const edited = (text: string, edits: RequestEdits): string => Buffer.from(encodeRequest(bodyOf(text), edits)).toString();

test('replaces the model and leaves every other byte', () => {
  const text = '{ "messages":[ {"role":"user","content":"\\u00e9 é"} ],\n"model" : "a/b" , "x_unknown":{"k":[1.50]}, "t":1e2 }';
  assert.equal(edited(text, { model: 'größer "x"' }), text.replace('"a/b"', '"größer \\"x\\""'));
});

test('returns the same bytes when nothing changes', () => {
  const body = bodyOf('{"model":"m\\u0031","stream":true,"temperature":1,"stream_options":{"include_usage":true}}');
  const same = encodeRequest(body, { model: 'm1', set: { temperature: 1, gone: undefined }, drop: ['absent'], askUsage: true });
  assert.equal(same, body.bytes);
});

test('drops members with the right comma, at any position', () => {
  const text = '{"a":1, "model":"m", "b":2 ,"c":3}';
  assert.equal(edited(text, { model: 'm', drop: ['a'] }), '{"model":"m", "b":2 ,"c":3}');
  assert.equal(edited(text, { model: 'm', drop: ['b'] }), '{"a":1, "model":"m" ,"c":3}');
  assert.equal(edited(text, { model: 'm', drop: ['c'] }), '{"a":1, "model":"m", "b":2}');
  assert.equal(edited(text, { model: 'm', drop: ['a', 'b', 'c'] }), '{"model":"m"}');
  assert.equal(edited('{"b":1,"a":2}', { model: 'm', drop: ['a', 'b'], set: { c: 3 } }), '{"c":3}');
});

test('sets members: replaced in place, added at the end, taking precedence over drop', () => {
  assert.equal(edited('{"model":"m","t":0.5 }', { model: 'm', set: { t: 1, u: [1] }, drop: ['t'] }), '{"model":"m","t":1,"u":[1] }');
  assert.equal(edited('{ }', { model: 'm', set: { a: null } }), '{"a":null }');
  assert.equal(edited('{"a":1,"model":"m","a":2}', { model: 'm', set: { a: 3 } }), '{"a":3,"model":"m","a":3}');
  assert.equal(edited('{"a":1,"model":"m","a":2}', { model: 'm', drop: ['a'] }), '{"model":"m"}');
});

test('requests usage: adds stream_options, or merges into existing ones', () => {
  const ask = (options: string): string => edited(`{"model":"m","stream_options":${options}}`, { model: 'm', askUsage: true });
  assert.equal(edited('{"model":"m"}', { model: 'm', askUsage: true }), '{"model":"m","stream_options":{"include_usage":true}}');
  assert.equal(ask('{ }'), '{"model":"m","stream_options":{"include_usage":true }}');
  assert.equal(ask('null'), '{"model":"m","stream_options":{"include_usage":true}}');
  assert.equal(ask('{"include_usage" : false,"x":1}'), '{"model":"m","stream_options":{"include_usage" : true,"x":1}}');
  assert.equal(ask('{"x":1 }'), '{"model":"m","stream_options":{"x":1,"include_usage":true }}');
  assert.equal(ask('"bad"'), '{"model":"m","stream_options":"bad"}');
});

test('a dropped stream_options is not added again, a set one is merged', () => {
  const text = '{"model":"m","stream_options":{"x":1}}';
  assert.equal(edited(text, { model: 'm', askUsage: true, drop: ['stream_options'] }), '{"model":"m"}');
  assert.equal(
    edited(text, { model: 'm', askUsage: true, set: { stream_options: { y: 2 } } }),
    '{"model":"m","stream_options":{"y":2,"include_usage":true}}',
  );
});

const name = fc.constantFrom('a', 'b', 'temperature', 'größe', 'stream', 'with "quotes"', 'stop');
const space = fc.constantFrom('', ' ', '\n  ');
const member = fc.tuple(name, fc.jsonValue(), space);

/** Members as text, `model` among them; names may be repeated. */
const bodyText = fc.tuple(fc.array(member), fc.array(member), space).map(([before, after, gap]) => {
  const all = [...before, ['model', 'old', gap] as const, ...after];
  return `{${gap}${all.map(([key, value, s]) => `${s}${JSON.stringify(key)}${s}:${s}${JSON.stringify(value)}${s}`).join(',')}${gap}}`;
});

test('parses to the edited value, and spans that are not edited keep their bytes', () => {
  fc.assert(
    fc.property(bodyText, fc.dictionary(name, fc.jsonValue()), fc.array(name), fc.string(), (text, set, drop, model) => {
      const expected = JSON.parse(text) as Record<string, unknown>;
      for (const key of drop) delete expected[key];
      Object.assign(expected, JSON.parse(JSON.stringify(set)), { model });
      const result = edited(text, { model, set, drop });
      assert.deepEqual(JSON.parse(result), expected);

      const before = bodyOf(text);
      const after = bodyOf(result);
      const spans = (body: RequestBody): string[] =>
        body.members
          .filter((m) => m.name !== 'model' && !Object.hasOwn(set, m.name) && !(drop as string[]).includes(m.name))
          .map((m) => Buffer.from(body.bytes.subarray(m.keyStart, m.end)).toString());
      assert.deepEqual(spans(after), spans(before));
      if (Object.keys(set).length === 0 && drop.length === 0)
        assert.equal(result.length - model.length, text.length - 'old'.length + (JSON.stringify(model).length - 2 - model.length));
    }),
    { numRuns: 1000 },
  );
});

test('renames members and keeps their values', () => {
  const rename = new Map([['max_tokens', 'max_completion_tokens']]);
  assert.equal(edited('{"model":"m", "max_tokens" : 5 ,"t":1}', { model: 'm', rename }), '{"model":"m", "max_completion_tokens":5 ,"t":1}');
  assert.equal(edited('{"max\\u005ftokens":5}', { model: 'm', rename }), '{"max_completion_tokens":5}');
  assert.equal(edited('{"max_tokens":5,"max_tokens":6}', { model: 'm', rename }), '{"max_completion_tokens":5,"max_completion_tokens":6}');
  assert.equal(edited('{"x":{"max_tokens":5}}', { model: 'm', rename }), '{"x":{"max_tokens":5}}');
});
