import { assert } from '../../core/assert.ts';

/** A binary heap whose items know their place, so that any one can be removed or moved in O(log n). */
export class IndexedHeap<T> {
  readonly #items: T[] = [];
  readonly #isBefore: (a: T, b: T) => boolean;
  readonly #setIndex: (item: T, index: number) => void;

  constructor(isBefore: (a: T, b: T) => boolean, setIndex: (item: T, index: number) => void) {
    this.#isBefore = isBefore;
    this.#setIndex = setIndex;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#up(this.#items.length - 1, item);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    if (first !== undefined) this.removeAt(0);
    return first;
  }

  removeAt(index: number): void {
    const removed = this.#items[index];
    const last = this.#items.pop();
    assert(removed !== undefined && last !== undefined, 'a heap item is where it says');
    this.#setIndex(removed, -1);
    if (index === this.#items.length) return;
    this.#items[index] = last;
    this.#setIndex(last, index);
    this.update(index);
  }

  /** Restores the order after the item at `index` has changed. */
  update(index: number): void {
    const item = this.#items[index]!;
    if (index > 0 && this.#isBefore(item, this.#items[(index - 1) >> 1]!)) this.#up(index, item);
    else this.#down(index, item);
  }

  #up(index: number, item: T): void {
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#items[parent]!;
      if (!this.#isBefore(item, above)) break;
      this.#set(index, above);
      index = parent;
    }
    this.#set(index, item);
  }

  #down(index: number, item: T): void {
    const size = this.#items.length;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(this.#items[child + 1]!, this.#items[child]!)) child++;
      const below = this.#items[child]!;
      if (!this.#isBefore(below, item)) break;
      this.#set(index, below);
      index = child;
    }
    this.#set(index, item);
  }

  #set(index: number, item: T): void {
    this.#items[index] = item;
    this.#setIndex(item, index);
  }
}
