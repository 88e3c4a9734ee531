import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IndexedHeap } from './indexed-heap.ts';

interface Item {
  key: number;
  readonly tie: number;
  index: number;
}

const action = fc.record({
  kind: fc.constantFrom('push', 'push', 'pop', 'remove', 'update'),
  key: fc.integer({ min: 0, max: 20 }),
  pick: fc.nat(1000),
});

test('property: returns the least key first, and the least tie among equal keys, after any removals and moves', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const heap = new IndexedHeap<Item>((item, index) => (item.index = index));
      let model: Item[] = [];
      for (const [tie, { kind, key, pick }] of actions.entries()) {
        const picked = model[pick % Math.max(1, model.length)];
        if (kind === 'push') {
          const item = { key, tie, index: -1 };
          model.push(item);
          heap.push(item, key, tie);
        } else if (picked !== undefined && kind === 'update') {
          picked.key = key;
          heap.update(picked.index, key, picked.tie);
        } else if (picked !== undefined) {
          const gone = kind === 'remove' ? picked : heap.pop()!;
          if (kind === 'remove') heap.remove(gone.index);
          assert.equal(gone.index, -1);
          model = model.filter((item) => item !== gone);
        }
        model.sort((a, b) => a.key - b.key || a.tie - b.tie);
        assert.equal(heap.peek(), model[0]);
        assert.equal(heap.size, model.length);
      }
    }),
  );
});
