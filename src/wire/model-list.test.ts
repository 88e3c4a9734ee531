import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readModelList } from './model-list.ts';

const read = (value: unknown): string[] | null => readModelList(typeof value === 'string' ? value : JSON.stringify(value));

test('names are read from every form of a list', () => {
  const shapes = [
    { object: 'list', data: [{ id: 'a' }, { id: 'b' }] },
    [{ id: 'a', object: 'model' }, { id: 'b' }],
    ['a', 'b'],
    { models: [{ name: 'a', model: 'x' }, { model: 'b' }] },
    '\ufeff{"data":[{"id":"a"},{"id":"b"}]}',
    { data: ['a', { name: 'b' }] },
    { data: [null, 7, {}, { id: '' }, { id: 'a' }, { id: 5, name: 'b' }] },
  ];
  for (const shape of shapes) assert.deepEqual(read(shape), ['a', 'b'], JSON.stringify(shape));
  assert.deepEqual(read({ data: [] }), []);
});

test('anything but a model list returns null', () => {
  for (const value of ['', 'null', '<html>', '"a"', '7', {}, { data: null }, { data: {} }, { error: { message: 'x' } }, [7], [{}]])
    assert.equal(read(value), null, JSON.stringify(value));
});

test('a list is bounded', () => {
  assert.equal(read(Array.from({ length: 20_000 }, (_, i) => `m${i}`))?.length, 10_000);
});
