/**
 * Cuts a byte stream into server-sent events, to the letter of the WHATWG specification and whatever the chunking, and
 * keeps hold of each event's original bytes, so that a relay may pass them on untouched.
 *
 * The unit is the block: the bytes up to and with the blank line that ends an event; a comment, or a bare blank line, is
 * a block too. Blocks that lie whole in a chunk are ranges of it and nothing is allocated for them; one that is spread over
 * chunks is joined in memory of its own. Usual streams end lines with LF alone, so there the blank line is searched
 * natively, on a Latin-1 view of the chunk; a chunk that holds a CR is read byte by byte.
 */
import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const NO_BYTES = Buffer.alloc(0);

/**
 * Use: `push(chunk)`, then `next()` until it gives false; the fields tell of the current block until the following `next`.
 * At the end of the stream `finish()` gives the block that lacks its blank line, if there is one.
 */
export class SseFramer {
  /** Where the current block lies: in the chunk, or, if `joined`, in memory of its own (all of it). */
  bytes: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  joined = false;
  /** A block went beyond the limit; nothing more comes. */
  tooLarge = false;
  /** The last chunk, without the stream's byte order mark. */
  chunk: Buffer = NO_BYTES;
  /** The chunk as Latin-1 (one character for a byte), and where in it the next block begins. */
  text = '';
  position = 0;

  readonly #maxEventSize: number;
  #hasCarriageReturn = false;
  /** The state at `position`: is the line empty so far, and was the last byte the CR that ended one. */
  #lineEmpty = true;
  #afterCarriageReturn = false;
  /** The beginning of a block whose end has not come. */
  #held: Buffer = NO_BYTES;
  #heldLength = 0;
  #atStreamStart = true;
  /** First bytes of the stream that may be part of a byte order mark. */
  #mark: Buffer = NO_BYTES;

  #blockEnd = 0;
  /** Fields are read when they are asked for. */
  #fieldsRead = false;
  #eventName = '';
  #dataLines: number[] = [];

  /** `maxEventSize` in bytes, framing included. */
  constructor(maxEventSize: number) {
    this.#maxEventSize = maxEventSize;
  }

  push(bytes: Uint8Array): void {
    const chunk = this.#atStreamStart ? this.#withoutMark(asBuffer(bytes)) : asBuffer(bytes);
    this.chunk = chunk;
    this.text = chunk.toString('latin1');
    this.position = 0;
    this.#blockEnd = 0;
    this.#hasCarriageReturn = this.text.includes('\r');
  }

  /** True if `position` is at the beginning of a block and no part of one is held. */
  get atBoundary(): boolean {
    return this.#heldLength === 0;
  }

  /** Where the last whole block of the chunk ends: the chunk's end but for what is held. */
  get blockEnd(): number {
    return this.#blockEnd;
  }

  /** Moves past a block that the caller has read by itself from `text`, and that ended with LF. */
  skipTo(end: number): void {
    this.position = end;
    this.#blockEnd = end;
    this.#lineEmpty = true;
    this.#afterCarriageReturn = false;
  }

  /** Goes to the next whole block; false when more bytes are needed or `tooLarge`. */
  next(): boolean {
    if (this.tooLarge) return false;
    const start = this.position;
    const end = this.#hasCarriageReturn ? this.#findEndByBytes() : this.#findEnd();
    const size = this.#heldLength + (end < 0 ? this.chunk.length : end) - start;
    if (size > this.#maxEventSize) {
      this.tooLarge = true;
      this.#release();
      return false;
    }
    if (end < 0) {
      this.#hold(start);
      return false;
    }
    this.position = end;
    this.#blockEnd = end;
    this.#lineEmpty = true;
    if (this.#heldLength > 0) this.#join(end);
    else this.#setBlock(this.chunk, start, end, false);
    return true;
  }

  /** At the end of the stream: goes to the unfinished block; false if there is none. */
  finish(): boolean {
    if (this.tooLarge || this.#heldLength === 0) return false;
    this.chunk = NO_BYTES;
    this.text = '';
    this.position = 0;
    this.#join(0);
    return true;
  }

  /** The whole block as Latin-1. */
  readText(): string {
    return this.bytes.toString('latin1', this.start, this.end);
  }

  /** The block's `event` field; empty if it has none. */
  get eventName(): string {
    if (!this.#fieldsRead) this.#readFields();
    return this.#eventName;
  }

  /** The block's data with its lines joined by LF, or null if it has no `data` field (then it is no event). */
  readData(): string | null {
    if (!this.#fieldsRead) this.#readFields();
    const lines = this.#dataLines;
    if (lines.length === 0) return null;
    let data = this.bytes.toString('utf8', lines[0], lines[1]);
    for (let i = 2; i < lines.length; i += 2) data += `\n${this.bytes.toString('utf8', lines[i], lines[i + 1])}`;
    return data;
  }

  #withoutMark(chunk: Buffer): Buffer {
    const bytes = this.#mark.length === 0 ? chunk : Buffer.concat([this.#mark, chunk]);
    if (bytes.length < 3 && bytes.equals(BYTE_ORDER_MARK.subarray(0, bytes.length))) {
      this.#mark = Buffer.from(bytes);
      return NO_BYTES;
    }
    this.#atStreamStart = false;
    this.#mark = NO_BYTES;
    return byteOrderMarkLength(bytes) === 0 ? bytes : bytes.subarray(3);
  }

  /** For chunks without CR. */
  #findEnd(): number {
    const { text } = this;
    let from = this.position;
    if (from === text.length) return -1;
    if (this.#afterCarriageReturn) {
      this.#afterCarriageReturn = false;
      // The second half of a CRLF: no line of its own.
      if (text.charCodeAt(from) === LINE_FEED) from++;
      if (from === text.length) return -1;
    }
    if (this.#lineEmpty && text.charCodeAt(from) === LINE_FEED) return from + 1;
    const pair = text.indexOf('\n\n', from);
    if (pair >= 0) return pair + 2;
    this.#lineEmpty = text.charCodeAt(text.length - 1) === LINE_FEED;
    return -1;
  }

  #findEndByBytes(): number {
    const chunk = this.chunk;
    for (let pos = this.position; pos < chunk.length; pos++) {
      const byte = chunk[pos];
      const secondHalf = this.#afterCarriageReturn && byte === LINE_FEED;
      this.#afterCarriageReturn = byte === CARRIAGE_RETURN;
      if (secondHalf) continue;
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) {
        this.#lineEmpty = false;
      } else if (!this.#lineEmpty) {
        this.#lineEmpty = true;
      } else {
        // A CR ends the block at once: its LF may never come. If it is here already it belongs to the block.
        if (byte === LINE_FEED || chunk[pos + 1] !== LINE_FEED) return pos + 1;
        this.#afterCarriageReturn = false;
        return pos + 2;
      }
    }
    return -1;
  }

  /** Keeps the rest of the chunk; the memory grows by doubling, so that single bytes cost no more than large chunks. */
  #hold(start: number): void {
    const rest = this.chunk.subarray(start);
    // Thousands of streams may be open and silent: the chunk itself is let go.
    this.chunk = NO_BYTES;
    this.text = '';
    this.position = 0;
    if (rest.length === 0) return;
    const length = this.#heldLength + rest.length;
    if (this.#heldLength === 0) {
      this.#held = Buffer.from(rest);
    } else {
      if (length > this.#held.length) {
        const grown = Buffer.allocUnsafe(length * 2);
        this.#held.copy(grown, 0, 0, this.#heldLength);
        this.#held = grown;
      }
      this.#held.set(rest, this.#heldLength);
    }
    this.#heldLength = length;
  }

  #join(end: number): void {
    const block = Buffer.allocUnsafe(this.#heldLength + end);
    this.#held.copy(block, 0, 0, this.#heldLength);
    this.chunk.copy(block, this.#heldLength, 0, end);
    this.#release();
    this.#setBlock(block, 0, block.length, true);
  }

  #release(): void {
    this.#held = NO_BYTES;
    this.#heldLength = 0;
  }

  #setBlock(bytes: Buffer, start: number, end: number, joined: boolean): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.joined = joined;
    this.#fieldsRead = false;
  }

  #readFields(): void {
    const { bytes, end } = this;
    this.#fieldsRead = true;
    this.#eventName = '';
    this.#dataLines = [];
    let lineStart = this.start;
    for (let pos = lineStart; pos < end; pos++) {
      const byte = bytes[pos];
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) continue;
      if (pos > lineStart) this.#readLine(lineStart, pos);
      lineStart = pos + 1;
    }
    if (end > lineStart) this.#readLine(lineStart, end);
  }

  /** `id` and `retry` are for clients that connect again by themselves; here they and unknown fields say nothing. */
  #readLine(start: number, end: number): void {
    const { bytes } = this;
    let colon = start;
    while (colon < end && bytes[colon] !== COLON) colon++;
    const length = colon - start;
    if (length !== 4 && length !== 5) return;
    const name = bytes.toString('latin1', start, colon);
    let value = Math.min(colon + 1, end);
    if (value < end && bytes[value] === SPACE) value++;
    if (name === 'data') this.#dataLines.push(value, end);
    else if (name === 'event') this.#eventName = bytes.toString('utf8', value, end);
  }
}
