import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IdTable } from './id-table.ts';

test('it has the content and order of a Map after any sequence of changes', () => {
  // Many ids with few distinct endings share slots.
  const id = fc.tuple(fc.integer({ min: 0, max: 200 }), fc.constantFrom('', 'x', 'one long end')).map(([n, end]) => `${n}${end}`);
  const step = fc.record({ do: fc.constantFrom('set' as const, 'set' as const, 'delete' as const), id, value: fc.integer() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const table = new IdTable<number>();
      const model = new Map<string, number>();
      for (const next of steps) {
        const before = model.get(next.id);
        model.delete(next.id);
        if (next.do === 'delete') assert.equal(table.delete(next.id), before);
        else {
          model.set(next.id, next.value);
          table.set(next.id, next.value);
        }
        assert.equal(table.get(next.id), model.get(next.id));
        assert.equal(table.size, model.size);
      }
      assert.deepEqual([...table.values()], [...model.values()]);
      assert.equal(table.oldest, [...model.values()][0]);
      for (const [known, value] of model) assert.equal(table.get(known), value);
    }),
  );
});

test('thousands of ids that end in a counter are found', () => {
  const table = new IdTable<number>();
  for (let i = 0; i < 20_000; i++) table.set(`req_abc${i.toString(36)}`, i);
  for (let i = 0; i < 20_000; i += 2) assert.equal(table.delete(`req_abc${i.toString(36)}`), i);
  assert.equal(table.size, 10_000);
  assert.equal(table.oldest, 1);
  assert.equal(table.get('req_abc2'), undefined);
  assert.equal(table.get('req_abc3'), 3);
});
