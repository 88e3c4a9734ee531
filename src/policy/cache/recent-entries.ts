/** What is kept within a number and a size; the one that nobody asked for longest goes first. */

/** So much is freed at once: to find the first of a map from which the first ones were taken takes as long as many were. */
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

  /** Another bound from now on; what is too much goes at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom();
  }

  /** The value, which counts as asked for now. */
  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** False: it is larger than everything that may be kept, and is not. */
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
