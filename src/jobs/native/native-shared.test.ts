import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputBudget, KnownRemotes } from './native-shared.ts';

test('the encoded input of all jobs is bounded, and given in the order in which jobs ask', async () => {
  const budget = new InputBudget(100);
  const { signal } = new AbortController();
  const taken: string[] = [];
  const take = (name: string, bytes: number, until = signal) => budget.take(bytes, until).then((is) => taken.push(`${name} ${is}`));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const leaving = new AbortController();
  void take('a', 60);
  void take('b', 60, leaving.signal);
  void take('c', 30);
  await turn();
  assert.deepEqual(taken, ['a true']);
  leaving.abort();
  await turn();
  assert.deepEqual(taken.splice(0), ['a true', 'b false', 'c true']);
  void take('d', 50);
  void take('e', 1, leaving.signal);
  budget.give(30);
  await turn();
  assert.deepEqual(taken.splice(0), ['e false']);
  budget.give(60);
  await turn();
  assert.deepEqual(taken, ['d true']);
});

test('the ids of batches are kept up to a number, the latest ones', () => {
  const known = new KnownRemotes(2);
  for (const id of ['a', 'b', 'a', 'c']) known.add(id);
  assert.deepEqual(['a', 'b', 'c'].map((id) => known.has(id)), [true, false, true]); // prettier-ignore
});
