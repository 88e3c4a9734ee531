/**
 * Small things that are kept for a while in great numbers and hardly ever looked at: the oldest go first. They lie one behind the other in
 * the bytes of a few generations, of which the oldest goes as a whole: objects of their own, or one large map out of which things are
 * taken one by one, would cost more than the requests that they belong to.
 */

/** Generations that share the bounds; one of them is lost at a time. */
const GENERATIONS = 8;
/** Before each entry stands its length. */
const LENGTH_BYTES = 4;

interface Generation {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  used: number;
  /** Where the entry of a key begins. */
  readonly starts: Map<string, number>;
}

export class ByteLog {
  readonly #entriesMax: number;
  #bytesMax: number;
  /** The newest first. */
  #generations: Generation[] = [];
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#generations.reduce((sum, { starts }) => sum + starts.size, 0);
  }

  /** Held in generations, full or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Another bound from now on; what is too much goes at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom(0);
  }

  /** The bytes, which nobody overwrites; null: there are none. */
  get(key: string): Uint8Array | null {
    for (const { starts, view, bytes } of this.#generations) {
      const start = starts.get(key);
      if (start !== undefined) return bytes.subarray(start + LENGTH_BYTES, start + LENGTH_BYTES + view.getUint32(start));
    }
    return null;
  }

  /** Keeps a copy of both parts, one behind the other. False: they are larger than everything that may be kept. */
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
