/**
 * Small things that are kept for a while in great numbers and hardly ever looked at: the oldest go first. Their bytes lie one behind the
 * other in large blocks, which go as a whole: objects of their own would cost the garbage collector more than the requests they belong to.
 */

/** Bytes of a block; the bound is kept to within one of them. */
const BLOCK_BYTES = 256 * 1024;

interface Block {
  readonly bytes: Uint8Array;
  used: number;
}

interface Place {
  readonly block: Block;
  readonly start: number;
  readonly length: number;
}

export class ByteLog {
  readonly #entriesMax: number;
  #bytesMax: number;
  /** The oldest first; so are the entries. */
  readonly #blocks: Block[] = [];
  readonly #places = new Map<string, Place>();
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#places.size;
  }

  /** Held in blocks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Another bound from now on; what is too much goes at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom(0);
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  /** The bytes, which nobody overwrites; null: there are none. */
  get(key: string): Uint8Array | null {
    const place = this.#places.get(key);
    return place === undefined ? null : place.block.bytes.subarray(place.start, place.start + place.length);
  }

  /** Keeps a copy of both parts, one behind the other. False: they are larger than everything that may be kept. */
  set(key: string, head: Uint8Array, body: Uint8Array): boolean {
    const length = head.byteLength + body.byteLength;
    this.#places.delete(key);
    if (length > this.#bytesMax) return false;
    if (this.#places.size >= this.#entriesMax) this.#dropOldestEntry();
    const block = this.#blockFor(length);
    const start = block.used;
    block.bytes.set(head, start);
    block.bytes.set(body, start + head.byteLength);
    block.used += length;
    this.#places.set(key, { block, start, length });
    return true;
  }

  delete(key: string): void {
    this.#places.delete(key);
  }

  #blockFor(length: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.used + length <= last.bytes.byteLength) return last;
    const size = Math.max(length, Math.min(BLOCK_BYTES, this.#bytesMax));
    this.#makeRoom(size);
    const block = { bytes: new Uint8Array(size), used: 0 };
    this.#blocks.push(block);
    this.#bytes += size;
    return block;
  }

  #makeRoom(bytes: number): void {
    while (this.#bytes + bytes > this.#bytesMax) {
      const oldest = this.#blocks.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest.bytes.byteLength;
      for (const [key, { block }] of this.#places) {
        if (block !== oldest) break;
        this.#places.delete(key);
      }
    }
  }

  #dropOldestEntry(): void {
    for (const key of this.#places.keys()) return void this.#places.delete(key);
  }
}
