import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServedModels } from './served-models.ts';

const minute = 60_000;
const day = 86_400_000;

test('a model that a client was served with is known for a day after its last use', () => {
  const served = new ServedModels();
  served.add('web', 'fast', 0);
  served.add('web', 'fast', day - minute);
  assert.equal(served.has('web', 'fast', day + minute), true);
  assert.equal(served.has('web', 'fast', 2 * day), false);
  assert.equal(served.has('web', 'other', minute), false);
  assert.equal(served.has('app', 'fast', minute), false);
});

test('the pair used least recently is dropped first, not the one known longest', () => {
  const served = new ServedModels();
  served.add('web', 'fast', 0);
  served.add('app', 'idle', 0);
  for (let i = 0; i < 1_998; i++) served.add('bot', `m-${i}`, minute);
  served.add('web', 'fast', 2 * minute);
  served.add('bot', 'one-more', 2 * minute);
  assert.equal(served.has('web', 'fast', 3 * minute), true);
  assert.equal(served.has('app', 'idle', 3 * minute), false);
  for (let i = 0; i < 10_000; i++) served.add(`client-${i}`, 'm', 3 * minute);
  assert.deepEqual([served.has('client-8000', 'm', 4 * minute), served.has('client-7999', 'm', 4 * minute)], [true, false]);
});
