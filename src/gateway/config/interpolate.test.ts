import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { interpolate } from './interpolate.ts';

const env = { NAME: 'value', EMPTY: '', TRICKY: 'a: {b: ["${NAME}"]}\n- c', API_KEY: 'sk-1' };
const fill = (text: string) => interpolate(text, env).value;

test('variables and defaults are replaced, alone and inside a text', () => {
  const cases: [string, string][] = [
    ['${NAME}', 'value'],
    ['a-${NAME}-b-${NAME}', 'a-value-b-value'],
    ['${NONE:-other}', 'other'],
    ['${NONE:-}', ''],
    ['${EMPTY:-other}', 'other'],
    ['${EMPTY}', ''],
    ['${NAME:-other}', 'value'],
    ['${NONE:-http://h:1/a b}', 'http://h:1/a b'],
    ['$NAME $ {NAME} $', '$NAME $ {NAME} $'],
    ['$${NAME}', '${NAME}'],
    ['$$${NAME}', '$${NAME}'],
  ];
  for (const [text, expected] of cases) assert.equal(fill(text), expected, text);
});

test('a value adds neither structure nor another template', () => {
  assert.deepEqual(interpolate({ list: ['${TRICKY}'] }, env).value, { list: ['a: {b: ["${NAME}"]}\n- c'] });
});

test('a missing variable is a fault with its path', () => {
  const { faults } = interpolate({ a: { b: ['x', '${NONE} ${ALSO_NONE}'] } }, env);
  assert.deepEqual(faults, [
    { path: ['a', 'b', 1], what: 'needs the environment variable NONE, which is not set' },
    { path: ['a', 'b', 1], what: 'needs the environment variable ALSO_NONE, which is not set' },
  ]);
});

test('a malformed template is a fault', () => {
  for (const text of ['${', '${}', '${NAME', '${NA ME}', '${NAME-x}', '${1}']) assert.equal(interpolate(text, env).faults.length, 1, text);
});

test('names of built-in properties are not variables', () => {
  assert.equal(interpolate('${constructor}', {}).faults.length, 1);
  assert.equal(interpolate('${__proto__}', {}).faults.length, 1);
});

test('keys, numbers, booleans and null are unchanged', () => {
  const input = { '${NAME}': 1, b: true, c: null };
  assert.deepEqual(interpolate(input, env).value, input);
});

test('the values of variables with secret names are collected', () => {
  assert.deepEqual([...interpolate(['${API_KEY}', '${NAME}'], env).secrets], ['sk-1']);
});

test('without templates nothing changes', () => {
  fc.assert(fc.property(fc.jsonValue(), (input) => assert.deepEqual(interpolate(input, null).value, input)));
});

test('nesting beyond the limit is a fault', () => {
  let deep: unknown = 'x';
  for (let level = 0; level < 100; level++) deep = { a: deep };
  assert.match(interpolate(deep, env).faults[0]?.what ?? '', /nested deeper/);
});
