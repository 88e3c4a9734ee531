/**
 * A list of chunks that bounds the number of objects: a body sent one byte at a time would otherwise take a hundred bytes of memory for each
 * byte, and each chunk references the buffer that it was received in. Small chunks are copied into shared blocks.
 */

/** Smaller chunks are copied. */
const SMALL_BYTES = 4 * 1024;
/** Size of a block: twice the bytes so far, within these limits. */
const BLOCK_BYTES_MIN = SMALL_BYTES;
const BLOCK_BYTES_MAX = 64 * 1024;

export class ChunkList {
  #chunks: Uint8Array[] = [];
  #block: Uint8Array | null = null;
  #used = 0;
  bytes = 0;

  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    // The first chunk is never copied: most bodies have only one.
    if (chunk.length >= SMALL_BYTES || this.#chunks.length === 0) {
      this.#flush();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block !== null && this.#used + chunk.length > this.#block.length) this.#flush();
    if (this.#block === null) {
      this.#block = new Uint8Array(Math.min(BLOCK_BYTES_MAX, Math.max(BLOCK_BYTES_MIN, 2 * this.bytes)));
      this.#used = 0;
    }
    this.#block.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  /** Returns all chunks in order and empties the list. */
  take(): Uint8Array[] {
    this.#flush();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.bytes = 0;
    return chunks;
  }

  #flush(): void {
    if (this.#block === null) return;
    this.#chunks.push(this.#block.subarray(0, this.#used));
    this.#block = null;
  }
}
