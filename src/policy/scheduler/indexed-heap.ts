import { assert } from '../../core/assert.ts';

/** Children of a node: a flat heap reads fewer scattered items than a binary one. */
const ARITY = 4; // a parent is found by `>> 2`

/**
 * A heap whose items know their place, so that any one can be removed or moved in O(log n). Ordered by `key`, then by
 * `tie`, both kept apart from the items: with a million of them every look at an item is a cache miss.
 */
export class IndexedHeap<T> {
  readonly #items: T[] = [];
  readonly #keys: number[] = [];
  readonly #ties: number[] = [];
  readonly #setIndex: (item: T, index: number) => void;
  readonly #settle: ((a: T, b: T) => boolean) | null;

  /** `settle`: whether `a` goes before `b` where key and tie are the same; absent: as it comes. */
  constructor(setIndex: (item: T, index: number) => void, settle: ((a: T, b: T) => boolean) | null = null) {
    this.#setIndex = setIndex;
    this.#settle = settle;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** The least key; Infinity: it is empty. */
  peekKey(): number {
    return this.#keys.length === 0 ? Infinity : this.#keys[0]!;
  }

  push(item: T, key: number, tie: number): void {
    this.#items.push(item);
    this.#keys.push(key);
    this.#ties.push(tie);
    this.#up(this.#items.length - 1, item, key, tie);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    if (first !== undefined) this.removeAt(0);
    return first;
  }

  removeAt(index: number): void {
    const removed = this.#items[index];
    assert(removed !== undefined, 'a heap item is where it says');
    const [last, key, tie] = [this.#items.pop()!, this.#keys.pop()!, this.#ties.pop()!];
    this.#setIndex(removed, -1);
    if (index < this.#items.length) this.#place(index, last, key, tie);
  }

  /** Gives the item at `index` another key and tie. */
  update(index: number, key: number, tie: number): void {
    if (this.#settle === null && this.#keys[index] === key && this.#ties[index] === tie) return;
    this.#place(index, this.#items[index]!, key, tie);
  }

  /** In no order. */
  items(): readonly T[] {
    return this.#items;
  }

  #place(index: number, item: T, key: number, tie: number): void {
    if (index > 0 && this.#isBefore(item, key, tie, (index - 1) >> 2)) this.#up(index, item, key, tie);
    else this.#down(index, item, key, tie);
  }

  #up(start: number, item: T, key: number, tie: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 2;
      if (!this.#isBefore(item, key, tie, parent)) break;
      this.#move(parent, index);
      index = parent;
    }
    this.#set(index, item, key, tie);
  }

  #down(start: number, item: T, key: number, tie: number): void {
    const size = this.#items.length;
    let index = start;
    for (;;) {
      const first = ARITY * index + 1;
      if (first >= size) break;
      let child = first;
      const end = Math.min(first + ARITY, size);
      for (let other = first + 1; other < end; other++) {
        if (this.#isBefore(this.#items[other]!, this.#keys[other]!, this.#ties[other]!, child)) child = other;
      }
      if (this.#isBefore(item, key, tie, child)) break;
      this.#move(child, index);
      index = child;
    }
    this.#set(index, item, key, tie);
  }

  #isBefore(item: T, key: number, tie: number, index: number): boolean {
    const other = this.#keys[index]!;
    if (key !== other) return key < other;
    if (tie !== this.#ties[index]!) return tie < this.#ties[index]!;
    return this.#settle !== null && this.#settle(item, this.#items[index]!);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#items[from]!, this.#keys[from]!, this.#ties[from]!);
  }

  #set(index: number, item: T, key: number, tie: number): void {
    this.#items[index] = item;
    this.#keys[index] = key;
    this.#ties[index] = tie;
    this.#setIndex(item, index);
  }
}
