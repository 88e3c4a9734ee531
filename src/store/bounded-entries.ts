/** Entries by collection and key, in write order, limited in number and size. */

export interface BoundedEntry<T> {
  readonly collection: string;
  readonly key: string;
  readonly value: T;
}

export interface BoundedEntriesOptions<T> {
  readonly entriesMax: number;
  readonly charactersMax: number;
  readonly sizeOf: (value: T) => number;
}

export class BoundedEntries<T> {
  readonly #options: BoundedEntriesOptions<T>;
  readonly #entries = new Map<string, BoundedEntry<T>>();
  #characters = 0;
  #dropped = 0;

  constructor(options: BoundedEntriesOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Number of entries dropped at a limit. */
  get dropped(): number {
    return this.#dropped;
  }

  get(collection: string, key: string): T | undefined {
    return this.#entries.get(toName(collection, key))?.value;
  }

  /** Sets an entry as the newest; the oldest are dropped at a limit. */
  set(collection: string, key: string, value: T): void {
    this.delete(collection, key);
    const entry = { collection, key, value };
    this.#entries.set(toName(collection, key), entry);
    this.#characters += this.#sizeOf(entry);
    while (this.#entries.size > this.#options.entriesMax || this.#characters > this.#options.charactersMax) {
      this.takeOldest();
      this.#dropped++;
    }
  }

  delete(collection: string, key: string): void {
    const name = toName(collection, key);
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#characters -= this.#sizeOf(entry);
  }

  takeOldest(): BoundedEntry<T> | undefined {
    for (const entry of this.#entries.values()) {
      this.delete(entry.collection, entry.key);
      return entry;
    }
    return undefined;
  }

  /** Oldest to newest. Entries may be deleted during the iteration. */
  values(): Iterable<BoundedEntry<T>> {
    return this.#entries.values();
  }

  #sizeOf(entry: BoundedEntry<T>): number {
    return entry.collection.length + entry.key.length + this.#options.sizeOf(entry.value);
  }
}

/** Collection names are internal and contain no NUL, so the first NUL ends the name. */
function toName(collection: string, key: string): string {
  return `${collection}\0${key}`;
}
