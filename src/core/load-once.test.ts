import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadOnce } from './load-once.ts';

test('a loaded value is cached, a rejection is not', async () => {
  const outcomes = [Promise.reject(new Error('EMFILE')), Promise.resolve('here'), Promise.resolve('again')];
  outcomes[0]!.catch(() => {});
  let calls = 0;
  const get = loadOnce(() => outcomes[calls++]!);
  await Promise.all([assert.rejects(get(), /EMFILE/), assert.rejects(get(), /EMFILE/)]);
  assert.equal(calls, 1);
  assert.equal(await get(), 'here');
  assert.equal(await get(), 'here');
  assert.equal(calls, 2);
});
