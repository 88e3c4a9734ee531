/**
 * Bytes as they come, bounded in objects too: a body sent one byte at a time would otherwise be a hundred bytes of memory for each, and each
 * piece keeps alive the buffer that it was received in. Small pieces are copied together.
 */

/** Pieces below this are copied. */
const SMALL_BYTES = 4 * 1024;
/** What small ones are collected in: twice as much as has come so far, within these limits. */
const BLOCK_BYTES_MIN = SMALL_BYTES;
const BLOCK_BYTES_MAX = 64 * 1024;

export class ChunkList {
  #pieces: Uint8Array[] = [];
  #block: Uint8Array | null = null;
  #used = 0;
  bytes = 0;

  add(piece: Uint8Array): void {
    this.bytes += piece.length;
    // The first one is never copied: most bodies have no other.
    if (piece.length >= SMALL_BYTES || this.#pieces.length === 0) {
      this.#flush();
      this.#pieces.push(piece);
      return;
    }
    if (this.#block !== null && this.#used + piece.length > this.#block.length) this.#flush();
    if (this.#block === null) {
      this.#block = new Uint8Array(Math.min(BLOCK_BYTES_MAX, Math.max(BLOCK_BYTES_MIN, 2 * this.bytes)));
      this.#used = 0;
    }
    this.#block.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** All pieces in order; the list is empty after it. */
  take(): Uint8Array[] {
    this.#flush();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.bytes = 0;
    return pieces;
  }

  #flush(): void {
    if (this.#block === null) return;
    this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = null;
  }
}
