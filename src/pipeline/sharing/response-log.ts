/** The bytes of a response in order: all of them while memory allows, then only those that some reader has not taken. */

/** Largest response that is buffered whole, in bytes. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** The memory budget. */
export interface LogRoom {
  /** False: the budget is exhausted. */
  tryHold(bytes: number): boolean;
  release(bytes: number): void;
}

export class ResponseLog {
  readonly #room: LogRoom;
  #chunks: Uint8Array[] = [];
  /** Chunks and bytes dropped from the beginning. */
  #trimmedChunks = 0;
  #trimmedBytes = 0;
  #heldBytes = 0;
  #keepsAll = true;
  /** Bytes received in total. */
  bytes = 0;

  constructor(room: LogRoom) {
    this.#room = room;
  }

  /** False: its beginning is dropped, or will be. */
  get keepsAll(): boolean {
    return this.#keepsAll;
  }

  /** False: the response has just become too large to be buffered whole. */
  append(chunks: readonly Uint8Array[]): boolean {
    let bytes = 0;
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      bytes += chunk.byteLength;
    }
    this.bytes += bytes;
    if (!this.#keepsAll) return true;
    if (this.bytes <= LOG_BYTES_MAX && this.#room.tryHold(bytes)) this.#heldBytes += bytes;
    else this.#keepsAll = false;
    return this.#keepsAll;
  }

  /** At most `countMax` chunks, starting at this one; chunks are numbered from the first received. */
  from(chunk: number, countMax = Infinity): readonly Uint8Array[] {
    const start = chunk - this.#trimmedChunks;
    return this.#chunks.slice(start, start + countMax);
  }

  /** Drops the chunks before this one. */
  trim(chunk: number): void {
    const taken = this.#chunks.splice(0, Math.max(0, Math.min(chunk - this.#trimmedChunks, this.#chunks.length)));
    this.#trimmedChunks += taken.length;
    for (const each of taken) this.#trimmedBytes += each.byteLength;
    const rest = Math.min(this.#heldBytes, this.bytes - this.#trimmedBytes);
    if (rest < this.#heldBytes) this.#room.release(this.#heldBytes - rest);
    this.#heldBytes = rest;
  }

  /** The whole response; valid only while `keepsAll`. */
  toBytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  clear(): void {
    this.#chunks = [];
    if (this.#heldBytes > 0) this.#room.release(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
