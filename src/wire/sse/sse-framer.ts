/**
 * Splits a byte stream into server-sent events, exactly as the WHATWG specification says and in any chunking, and returns each event's
 * original bytes, so that a relay can pass them on unchanged.
 *
 * The unit is the block: the bytes up to and including the blank line that ends an event; a comment, or a bare blank line, is a block too.
 * Blocks that lie within one chunk are ranges of it, without any allocation; one that spans chunks is joined in its own memory. A CR ends a
 * block at once, since its LF may never arrive; if the LF arrives with the next chunk, it becomes a block of its own, marked as late, and is
 * handled like the event before it: so every byte is handled alike in any chunking.
 *
 * Streams usually end lines with LF alone, so the blank line is searched natively, on a Latin-1 view of the chunk; a chunk that contains a
 * CR, or is tiny, is read byte by byte.
 */
import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../json-outline.ts';
import { SseFields } from './sse-fields.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const NO_BYTES = Buffer.alloc(0);
/** In bytes; up to this length a native call costs more than a loop. */
const TINY = 24;
/** The initial buffer for a block that spans chunks, in bytes; it grows by doubling. */
const HELD_AT_FIRST = 512;

/**
 * Use: `push(chunk)`, then `next()` until it returns false; the fields describe the current block until the following `next`. At the end of
 * the stream, `finish()` returns the block without its blank line, if there is one.
 */
export class SseFramer {
  /** The position of the current block: in the chunk or, if `joined`, in its own memory (all of it). */
  bytes: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  joined = false;
  /** The block is the LF of a CRLF whose CR ended the previous block, and belongs to that. */
  isLateLineFeed = false;
  /** A block exceeded the limit; there are no further blocks. */
  tooLarge = false;
  /** The outline of a large block, field names included; null: the block is not large. */
  outline: JsonOutline | null = null;
  /** The last chunk, without the stream's byte order mark, and the position in it at which the next block begins. */
  chunk: Buffer = NO_BYTES;
  position = 0;

  readonly #maxEventSize: number;
  readonly #fields = new SseFields();
  /** The chunk as Latin-1, decoded on demand. */
  #text: string | null = null;
  #isReadByBytes = false;
  /** The state at `position`: the line is empty so far; the last byte was a CR that ended a line. */
  #lineEmpty = true;
  #afterCarriageReturn = false;
  #sawLineFeed = false;
  /** The beginning of an incomplete block. */
  #held: Buffer = NO_BYTES;
  #heldLength = 0;
  #growing: JsonOutline | null = null;
  #atStreamStart = true;
  /** First bytes of the stream that may be part of a byte order mark. */
  #mark: Buffer = NO_BYTES;
  #blockEnd = 0;

  /** `maxEventSize` in bytes, framing included. */
  constructor(maxEventSize: number) {
    this.#maxEventSize = maxEventSize;
  }

  push(bytes: Uint8Array): void {
    const chunk = this.#atStreamStart ? this.#withoutByteOrderMark(asBuffer(bytes)) : asBuffer(bytes);
    this.chunk = chunk;
    this.#text = null;
    this.position = 0;
    this.#blockEnd = 0;
    this.#isReadByBytes = chunk.length <= TINY || this.text.includes('\r');
  }

  /** The chunk as Latin-1: one character per byte. */
  get text(): string {
    return (this.#text ??= this.chunk.toString('latin1'));
  }

  /** True if `position` is at the beginning of a block and no part of one is held. */
  get atBoundary(): boolean {
    return this.#heldLength === 0;
  }

  /** The end of the last complete block of the chunk; the rest is held. */
  get blockEnd(): number {
    return this.#blockEnd;
  }

  /** The block ended with the last byte of the chunk, a CR, in a stream that uses LF: the next byte may belong to it. */
  get awaitsLineFeed(): boolean {
    return this.#afterCarriageReturn && this.#sawLineFeed && this.position === this.chunk.length;
  }

  /** Moves past blocks that the caller has read itself from `text`, and that ended with LF. */
  skipTo(end: number): void {
    this.position = end;
    this.#blockEnd = end;
    this.#lineEmpty = true;
    this.#afterCarriageReturn = false;
    this.#sawLineFeed = true;
  }

  /** Advances to the next complete block; false if more bytes are needed, or `tooLarge`. */
  next(): boolean {
    if (this.tooLarge) return false;
    const start = this.position;
    if (this.#afterCarriageReturn && this.#heldLength === 0 && start < this.chunk.length && this.#takeLateLineFeed(start)) return true;
    const end = this.#isReadByBytes ? this.#findEndByBytes() : this.#findEnd();
    const size = this.#heldLength + (end < 0 ? this.chunk.length : end) - start;
    if (size > this.#maxEventSize && !(size === this.#maxEventSize + 1 && this.#endsWithBoth(end))) {
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

  /** At the end of the stream: advances to the incomplete block; false if there is none. */
  finish(): boolean {
    if (this.tooLarge || this.#heldLength === 0) return false;
    this.chunk = NO_BYTES;
    this.#text = null;
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
    return this.#fields.of(this).eventName;
  }

  /** The block's data with its lines joined by LF, or null if it has no `data` field (and so is not an event). */
  readData(): string | null {
    return this.#fields.of(this).readData();
  }

  /** The data bytes, if there is exactly one data line; else null. */
  get dataLine(): Buffer | null {
    return this.#fields.of(this).dataLine;
  }

  /** What `outline` kept of the data, if there is exactly one data line. */
  get outlinedData(): string {
    const text = this.outline?.text ?? '';
    const line = /(?:^|[\n\r])data: ?([^\n\r]*)/.exec(text);
    return line?.[1] ?? '';
  }

  #withoutByteOrderMark(chunk: Buffer): Buffer {
    const bytes = this.#mark.length === 0 ? chunk : Buffer.concat([this.#mark, chunk]);
    if (bytes.length < 3 && bytes.equals(BYTE_ORDER_MARK.subarray(0, bytes.length))) {
      this.#mark = Buffer.from(bytes);
      return NO_BYTES;
    }
    this.#atStreamStart = false;
    this.#mark = NO_BYTES;
    return byteOrderMarkLength(bytes) === 0 ? bytes : bytes.subarray(3);
  }

  #takeLateLineFeed(start: number): boolean {
    this.#afterCarriageReturn = false;
    if (this.chunk[start] !== LINE_FEED) return false;
    this.position = start + 1;
    this.#blockEnd = start + 1;
    this.#sawLineFeed = true;
    this.#setBlock(this.chunk, start, start + 1, false);
    this.isLateLineFeed = true;
    return true;
  }

  /** The final LF never counts towards the limit, since in another chunking it would arrive late and not be counted. */
  #endsWithBoth(end: number): boolean {
    return end > 1 && this.chunk[end - 1] === LINE_FEED && this.chunk[end - 2] === CARRIAGE_RETURN;
  }

  /** For chunks without CR. */
  #findEnd(): number {
    const text = this.text;
    let from = this.position;
    if (from === text.length) return -1;
    if (this.#afterCarriageReturn) {
      this.#afterCarriageReturn = false;
      // The second half of a CRLF does not end another line.
      if (text.charCodeAt(from) === LINE_FEED) from++;
      if (from === text.length) return -1;
    }
    if (this.#lineEmpty && text.charCodeAt(from) === LINE_FEED) {
      this.#sawLineFeed = true;
      return from + 1;
    }
    const pair = text.indexOf('\n\n', from);
    if (pair >= 0) {
      this.#sawLineFeed = true;
      return pair + 2;
    }
    this.#lineEmpty = text.charCodeAt(text.length - 1) === LINE_FEED;
    return -1;
  }

  #findEndByBytes(): number {
    const chunk = this.chunk;
    let afterCarriageReturn = this.#afterCarriageReturn;
    let lineEmpty = this.#lineEmpty;
    let end = -1;
    for (let pos = this.position; pos < chunk.length && end < 0; pos++) {
      const byte = chunk[pos] as number;
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) {
        lineEmpty = false;
        afterCarriageReturn = false;
      } else if (byte === LINE_FEED) {
        this.#sawLineFeed = true;
        // The second half of a CRLF does not end another line.
        if (!afterCarriageReturn && lineEmpty) end = pos + 1;
        if (!afterCarriageReturn) lineEmpty = true;
        afterCarriageReturn = false;
      } else {
        // If the line is empty, the block ends here: including the LF, if it is in the chunk.
        afterCarriageReturn = !lineEmpty || chunk[pos + 1] !== LINE_FEED;
        if (lineEmpty) end = afterCarriageReturn ? pos + 1 : pos + 2;
        if (!afterCarriageReturn) this.#sawLineFeed = true;
        lineEmpty = true;
      }
    }
    this.#afterCarriageReturn = afterCarriageReturn;
    this.#lineEmpty = lineEmpty;
    return end;
  }

  /** Copies the rest of the chunk and releases the chunk itself: thousands of streams may be open and idle. */
  #hold(start: number): void {
    if (start < this.chunk.length) this.#append(start, this.chunk.length);
    this.chunk = NO_BYTES;
    this.bytes = NO_BYTES;
    this.#text = null;
    this.position = 0;
    this.#fields.forget();
  }

  #append(start: number, end: number): void {
    const { chunk } = this;
    const length = this.#heldLength + end - start;
    if (length > this.#held.length) this.#grow(length);
    const held = this.#held;
    if (end - start > TINY) chunk.copy(held, this.#heldLength, start, end);
    else for (let from = start, to = this.#heldLength; from < end; from++, to++) held[to] = chunk[from] as number;
    if (this.#growing !== null) this.#growing.push(held.subarray(this.#heldLength, length));
    else if (length > OUTLINED_BYTES_MIN) (this.#growing = new JsonOutline()).push(held.subarray(0, length));
    this.#heldLength = length;
  }

  /** Grows by doubling, so that single bytes cost no more than large chunks, but not beyond the maximum event size. */
  #grow(length: number): void {
    const grown = Buffer.allocUnsafe(
      Math.max(length, Math.min(length * 2, this.#maxEventSize), Math.min(HELD_AT_FIRST, this.#maxEventSize)),
    );
    this.#held.copy(grown, 0, 0, this.#heldLength);
    this.#held = grown;
  }

  /** A slow caller may retain the block for long, so its memory is at most twice its size. */
  #join(end: number): void {
    this.#append(0, end);
    const block = this.#held.subarray(0, this.#heldLength);
    const joined = block.length * 2 > this.#held.length ? block : Buffer.from(block);
    const outline = this.#growing;
    this.#release();
    this.#setBlock(joined, 0, joined.length, true);
    this.outline = outline;
  }

  #release(): void {
    this.#held = NO_BYTES;
    this.#heldLength = 0;
    this.#growing = null;
  }

  #setBlock(bytes: Buffer, start: number, end: number, joined: boolean): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.joined = joined;
    this.isLateLineFeed = false;
    this.outline = null;
    this.#fields.forget();
  }
}
