import { assert } from '../../core/assert.ts';

/**
 * A heap from which any item can be removed or moved in O(log n). Ordered by `key`, then by `tie`.
 *
 * With a million items every access to one is a cache miss, so sifting only moves numbers. An item gets a handle when it is pushed, and
 * keeps it until it is removed; the position of a handle is stored beside the heap, not in the item. Nodes have four children, because a
 * flat heap reads fewer scattered numbers than a binary one.
 */
export class IndexedHeap<T> {
  /** By position: a complete tree. */
  readonly #keys: number[] = [];
  readonly #ties: number[] = [];
  readonly #handles: number[] = [];
  /** By handle. */
  readonly #items: (T | null)[] = [];
  readonly #places: number[] = [];
  readonly #freeHandles: number[] = [];
  readonly #setHandle: (item: T, handle: number) => void;
  readonly #settle: ((a: T, b: T) => boolean) | null;

  /**
   * `setHandle` receives the handle of an item when it is pushed, and -1 when it is removed. `settle`: whether `a` goes before `b` where
   * key and tie are equal; absent: in any order.
   */
  constructor(setHandle: (item: T, handle: number) => void, settle: ((a: T, b: T) => boolean) | null = null) {
    this.#setHandle = setHandle;
    this.#settle = settle;
  }

  get size(): number {
    return this.#keys.length;
  }

  peek(): T | undefined {
    return this.#keys.length === 0 ? undefined : this.#items[this.#handles[0]!]!;
  }

  /** The item at a position of the heap: the first is the least, later ones are roughly ordered. */
  at(place: number): T | undefined {
    return place < this.#handles.length ? this.#items[this.#handles[place]!]! : undefined;
  }

  /** The least key; Infinity: the heap is empty. */
  peekKey(): number {
    return this.#keys.length === 0 ? Infinity : this.#keys[0]!;
  }

  /** The tie of the item with the least key. */
  peekTie(): number {
    return this.#keys.length === 0 ? Infinity : this.#ties[0]!;
  }

  push(item: T, key: number, tie: number): void {
    const handle = this.#freeHandles.pop() ?? this.#items.length;
    const place = this.#keys.length;
    this.#items[handle] = item;
    this.#places[handle] = place;
    this.#keys.push(key);
    this.#ties.push(tie);
    this.#handles.push(handle);
    this.#setHandle(item, handle);
    this.#up(place, handle, key, tie);
  }

  pop(): T | undefined {
    const first = this.peek();
    if (first !== undefined) this.remove(this.#handles[0]!);
    return first;
  }

  remove(handle: number): void {
    const removed = this.#items[handle];
    assert(removed !== undefined && removed !== null, 'a heap item is found by its handle');
    const place = this.#places[handle]!;
    const [key, tie, last] = [this.#keys.pop()!, this.#ties.pop()!, this.#handles.pop()!];
    this.#items[handle] = null;
    this.#freeHandles.push(handle);
    this.#setHandle(removed, -1);
    if (place < this.#keys.length) this.#put(place, last, key, tie);
    else if (this.#keys.length === 0) this.#items.length = this.#places.length = this.#freeHandles.length = 0;
  }

  /** Sets an item's key and tie. */
  update(handle: number, key: number, tie: number): void {
    const place = this.#places[handle]!;
    if (this.#settle === null && this.#keys[place] === key && this.#ties[place] === tie) return;
    this.#put(place, handle, key, tie);
  }

  /** All items, in no particular order. */
  *items(): Generator<T> {
    for (const handle of this.#handles) yield this.#items[handle]!;
  }

  #put(place: number, handle: number, key: number, tie: number): void {
    if (place > 0 && this.#isBefore(handle, key, tie, (place - 1) >> 2)) this.#up(place, handle, key, tie);
    else this.#down(place, handle, key, tie);
  }

  #up(start: number, handle: number, key: number, tie: number): void {
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >> 2;
      if (!this.#isBefore(handle, key, tie, parent)) break;
      this.#set(place, this.#handles[parent]!, this.#keys[parent]!, this.#ties[parent]!);
      place = parent;
    }
    this.#set(place, handle, key, tie);
  }

  #down(start: number, handle: number, key: number, tie: number): void {
    const size = this.#keys.length;
    let place = start;
    for (;;) {
      const first = 4 * place + 1;
      if (first >= size) break;
      let child = first;
      const end = Math.min(first + 4, size);
      for (let other = first + 1; other < end; other++) {
        if (this.#isBefore(this.#handles[other]!, this.#keys[other]!, this.#ties[other]!, child)) child = other;
      }
      if (this.#isBefore(handle, key, tie, child)) break;
      this.#set(place, this.#handles[child]!, this.#keys[child]!, this.#ties[child]!);
      place = child;
    }
    this.#set(place, handle, key, tie);
  }

  #isBefore(handle: number, key: number, tie: number, place: number): boolean {
    const other = this.#keys[place]!;
    if (key !== other) return key < other;
    const otherTie = this.#ties[place]!;
    if (tie !== otherTie) return tie < otherTie;
    return this.#settle !== null && this.#settle(this.#items[handle]!, this.#items[this.#handles[place]!]!);
  }

  #set(place: number, handle: number, key: number, tie: number): void {
    this.#handles[place] = handle;
    this.#keys[place] = key;
    this.#ties[place] = tie;
    this.#places[handle] = place;
  }
}
