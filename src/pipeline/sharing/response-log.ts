/** The bytes of an answer in the order they came: all of them while there is room, then those that somebody has still to take. */

/** A larger answer is kept by nobody, in bytes. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Room for what is held in memory on behalf of requests. */
export interface LogRoom {
  /** False: there is none. */
  tryHold(bytes: number): boolean;
  release(bytes: number): void;
}

export class AnswerLog {
  readonly #room: LogRoom;
  #pieces: Uint8Array[] = [];
  /** Pieces and bytes at its beginning that are gone. */
  #pastPieces = 0;
  #pastBytes = 0;
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
  append(pieces: readonly Uint8Array[]): boolean {
    let bytes = 0;
    for (const piece of pieces) {
      this.#pieces.push(piece);
      bytes += piece.byteLength;
    }
    this.bytes += bytes;
    if (!this.#keepsAll) return true;
    if (this.bytes <= LOG_BYTES_MAX && this.#room.tryHold(bytes)) this.#heldBytes += bytes;
    else this.#keepsAll = false;
    return this.#keepsAll;
  }

  /** At most so many pieces from that one on, counted from the first that ever came. */
  from(piece: number, countMax = Infinity): readonly Uint8Array[] {
    const start = piece - this.#pastPieces;
    return this.#pieces.slice(start, start + countMax);
  }

  /** Everybody has what stands before this piece. */
  trim(piece: number): void {
    const taken = this.#pieces.splice(0, Math.max(0, Math.min(piece - this.#pastPieces, this.#pieces.length)));
    this.#pastPieces += taken.length;
    for (const each of taken) this.#pastBytes += each.byteLength;
    const rest = Math.min(this.#heldBytes, this.bytes - this.#pastBytes);
    if (rest < this.#heldBytes) this.#room.release(this.#heldBytes - rest);
    this.#heldBytes = rest;
  }

  /** All of it; only while it keeps all. */
  toBytes(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }

  clear(): void {
    this.#pieces = [];
    if (this.#heldBytes > 0) this.#room.release(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
