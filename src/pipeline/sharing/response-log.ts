/** The bytes of an response in the order they came: all of them while there is room, then those that somebody has still to take. */

/** A larger response is kept by nobody, in bytes. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Room for what is held in memory on behalf of requests. */
export interface LogRoom {
  /** False: there is none. */
  tryHold(bytes: number): boolean;
  release(bytes: number): void;
}

export class ResponseLog {
  readonly #room: LogRoom;
  #chunks: Uint8Array[] = [];
  /** Pieces and bytes at its beginning that are gone. */
  #trimmedChunks = 0;
  #trimmedBytes = 0;
  #heldBytes = 0;
  #keepsAll = true;
  /** All that came. */
  bytes = 0;

  constructor(room: LogRoom) {
    this.#room = room;
  }

  /** False: its beginning is gone, or will be. */
  get keepsAll(): boolean {
    return this.#keepsAll;
  }

  /** False: it has just become too large to be kept whole. */
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

  /** At most so many chunks from that one on, counted from the first that ever came. */
  from(chunk: number, countMax = Infinity): readonly Uint8Array[] {
    const start = chunk - this.#trimmedChunks;
    return this.#chunks.slice(start, start + countMax);
  }

  /** Everybody has what stands before this chunk. */
  trim(chunk: number): void {
    const taken = this.#chunks.splice(0, Math.max(0, Math.min(chunk - this.#trimmedChunks, this.#chunks.length)));
    this.#trimmedChunks += taken.length;
    for (const each of taken) this.#trimmedBytes += each.byteLength;
    const rest = Math.min(this.#heldBytes, this.bytes - this.#trimmedBytes);
    if (rest < this.#heldBytes) this.#room.release(this.#heldBytes - rest);
    this.#heldBytes = rest;
  }

  /** All of it; only while it keeps all. */
  toBytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  clear(): void {
    this.#chunks = [];
    if (this.#heldBytes > 0) this.#room.release(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
