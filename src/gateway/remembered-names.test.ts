import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RememberedNames } from './remembered-names.ts';

test('only the client with the most names loses one', () => {
  const names = new RememberedNames(100, () => false);
  for (let i = 0; i < 10; i++) assert.equal(names.add(`modest-${i}`, 'modest'), null);
  for (let i = 0; i < 30_000; i++) {
    const forgotten = names.add(`invented-${i}`, 'greedy');
    assert.equal(forgotten, i < 90 ? null : `invented-${i - 90}`);
  }
  assert.equal(names.size, 100);
  for (let i = 0; i < 10; i++) assert.equal(names.use(`modest-${i}`), true);
  for (let i = 10; i < 60; i++) assert.match(names.add(`modest-${i}`, 'modest')!, i < 50 ? /^invented/ : /^(modest|invented)/);
});

test('recently used and busy names of a client are not evicted', () => {
  const names = new RememberedNames(10, (name) => name === 'busy');
  names.add('busy', 'one');
  names.add('used', 'one');
  for (let i = 0; i < 1000; i++) {
    names.use('used');
    assert.match(names.add(`invented-${i}`, 'one') ?? 'invented', /^invented/);
  }
  assert.deepEqual([names.use('used'), names.use('busy'), names.size], [true, true, 10]);
});

test('the limit applies even if all names are busy', () => {
  const names = new RememberedNames(200, () => true);
  for (let i = 0; i < 1000; i++) names.add(`name-${i}`, 'one');
  assert.equal(names.size, 200);
});
