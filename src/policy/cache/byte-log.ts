/**
 * A bounded log of many small entries that are rarely read; the oldest are dropped first. Entries are stored one after another in the byte
 * arrays of a few generations, and the oldest generation is dropped as a whole. Separate objects, or deletions from one large map, would
 * cost more than the requests that the entries belong to.
 */

/** Generations that share the bounds; one is dropped at a time. */
const GENERATIONS = 8;
/** Each entry is preceded by its length. */
const LENGTH_BYTES = 4;

interface Generation {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  used: number;
  /** The offset of each key's entry. */
  readonly starts: Map<string, number>;
}

export class ByteLog {
  readonly #entriesMax: number;
  #bytesMax: number;
  /** Newest first. */
  #generations: Generation[] = [];
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#generations.reduce((sum, { starts }) => sum + starts.size, 0);
  }

  /** Allocated, whether filled or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Changes the bound; drops the excess at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom(0);
  }

  /** A view of the stored bytes, which are never overwritten; null: there is no such entry. */
  get(key: string): Uint8Array | null {
    for (const { starts, view, bytes } of this.#generations) {
      const start = starts.get(key);
      if (start !== undefined) return bytes.subarray(start + LENGTH_BYTES, start + LENGTH_BYTES + view.getUint32(start));
    }
    return null;
  }

  /** Stores a copy of both parts as one entry. False: they exceed the bound of the whole log. */
  set(key: string, head: Uint8Array, body: Uint8Array): boolean {
    this.delete(key);
    const length = head.byteLength + body.byteLength;
    if (length + LENGTH_BYTES > this.#bytesMax) return false;
    const generation = this.#generationFor(length + LENGTH_BYTES);
    const { bytes, view, used } = generation;
    view.setUint32(used, length);
    bytes.set(head, used + LENGTH_BYTES);
    bytes.set(body, used + LENGTH_BYTES + head.byteLength);
    generation.used += LENGTH_BYTES + length;
    generation.starts.set(key, used);
    return true;
  }

  delete(key: string): void {
    for (const { starts } of this.#generations) if (starts.delete(key)) return;
  }

  #generationFor(length: number): Generation {
    const newest = this.#generations[0];
    const isFull = newest === undefined || newest.starts.size >= this.#entriesMax / GENERATIONS;
    if (!isFull && newest.used + length <= newest.bytes.byteLength) return newest;
    const size = Math.max(length, Math.floor(this.#bytesMax / GENERATIONS));
    this.#makeRoom(size);
    const bytes = new Uint8Array(size);
    const made = { bytes, view: new DataView(bytes.buffer), used: 0, starts: new Map<string, number>() };
    this.#generations = [made, ...this.#generations];
    this.#bytes += size;
    return made;
  }

  #makeRoom(bytes: number): void {
    while (this.#bytes + bytes > this.#bytesMax || this.#generations.length >= GENERATIONS) {
      const oldest = this.#generations.pop();
      if (oldest === undefined) return;
      this.#bytes -= oldest.bytes.byteLength;
    }
  }
}
