import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { HoldersByCount, type CountedHolder } from './holders-by-count.ts';

interface Holder extends CountedHolder<Holder> {
  readonly name: string;
}

test('the largest holder is found after every change', () => {
  const random = createSeededRandom(7);
  const holders: Holder[] = Array.from({ length: 12 }, (_, i) => ({ name: `h${i}`, bucket: null, before: null, after: null }));
  const counts = new Map<Holder, number>(holders.map((holder) => [holder, 0]));
  const order = new HoldersByCount<Holder>();
  for (let step = 0; step < 20_000; step++) {
    const holder = holders[Math.floor(random.next() ** 2 * holders.length)]!;
    const count = counts.get(holder)!;
    const grows = count === 0 || random.next() < (step % 2000 < 1000 ? 0.7 : 0.3);
    counts.set(holder, count + (grows ? 1 : -1));
    if (grows) order.add(holder);
    else assert.equal(order.remove(holder), count > 1);
    const most = Math.max(...counts.values());
    assert.equal(order.most, most);
    if (most === 0) assert.equal(order.largest, null);
    else assert.equal(counts.get(order.largest!), most);
    for (const each of holders) assert.equal(each.bucket?.count ?? 0, counts.get(each));
  }
});
