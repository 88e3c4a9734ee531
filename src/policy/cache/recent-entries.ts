/** A cache bounded by number and size; the least recently used entry is dropped first. */

/** This share is freed at once: finding the first entry of a map costs time in proportion to the deletions at its front. */
const FREED_SHARE = 0.02;

interface Sized<T> {
  readonly value: T;
  readonly bytes: number;
}

export class RecentEntries<T> {
  readonly #entriesMax: number;
  #bytesMax: number;
  readonly #entries = new Map<string, Sized<T>>();
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Changes the bound; drops the excess at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom();
  }

  /** The value, which is now the most recently used. */
  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** False: it exceeds the bound of the whole cache and is not stored. */
  set(key: string, value: T, bytes: number): boolean {
    this.delete(key);
    if (bytes > this.#bytesMax) return false;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    this.#makeRoom();
    return true;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  #makeRoom(): void {
    if (this.#entries.size <= this.#entriesMax && this.#bytes <= this.#bytesMax) return;
    const entriesKept = this.#entriesMax - Math.floor(this.#entriesMax * FREED_SHARE);
    const bytesKept = this.#bytesMax - Math.floor(this.#bytesMax * FREED_SHARE);
    for (const key of this.#entries.keys()) {
      this.delete(key);
      if (this.#entries.size <= entriesKept && this.#bytes <= bytesKept) return;
    }
  }
}
