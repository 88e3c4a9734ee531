import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createResponseStore } from './store.ts';
import type { StoredResponse } from './store.ts';

const stored = (id: string, key = 'k', bytes = 10): StoredResponse => ({
  id,
  key,
  bytes,
  response: { output: [{ id: `item_${id}`, type: 'message' }] },
  input: [],
  conversation: [],
});

test('a response and its items are found with the key that created them, until it is deleted', () => {
  const store = createResponseStore();
  store.put(stored('a'));
  assert.equal(store.get('k', 'a')?.id, 'a');
  assert.equal(store.item('k', 'item_a')?.['type'], 'message');
  assert.deepEqual([store.get('x', 'a'), store.item('x', 'item_a'), store.delete('x', 'a')], [undefined, undefined, false]);
  assert.equal(store.delete('k', 'a'), true);
  assert.deepEqual([store.get('k', 'a'), store.item('k', 'item_a'), store.delete('k', 'a')], [undefined, undefined, false]);
});

test('beyond a thousand responses the oldest is evicted, with its items', () => {
  const store = createResponseStore();
  for (let index = 0; index <= 1000; index++) store.put(stored(String(index)));
  assert.deepEqual([store.get('k', '0'), store.item('k', 'item_0')], [undefined, undefined]);
  assert.ok(store.get('k', '1') !== undefined && store.get('k', '1000') !== undefined);
});

test('beyond 64 MB of requests the oldest are evicted', () => {
  const store = createResponseStore();
  const megabyte = 1024 * 1024;
  for (const id of ['a', 'b', 'c']) store.put(stored(id, 'k', 30 * megabyte));
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => store.get('k', id)?.id),
    [undefined, 'b', 'c'],
  );
  store.put(stored('c', 'k', megabyte));
  store.put(stored('d', 'k', 30 * megabyte));
  assert.equal(store.get('k', 'b')?.id, 'b', 'a response stored twice counts once');
  store.put(stored('e', 'k', 100 * megabyte));
  assert.equal(store.get('k', 'e'), undefined, 'a response larger than the store is not stored');
});
