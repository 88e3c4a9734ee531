/**
 * Cuts a byte stream into server-sent events, to the letter of the WHATWG specification and whatever the chunking, and
 * keeps hold of each event's original bytes, so that a relay may pass them on untouched.
 *
 * The unit is the block: the bytes up to and with the blank line that ends an event; a comment, or a bare blank line, is
 * a block too. Blocks that lie whole in a chunk are ranges of it and nothing is allocated for them; one that is spread over
 * chunks is joined in memory of its own. A CR ends a block at once, for its LF may never come; if it comes with the next
 * chunk, it is a block of its own and says so, and whoever took the event takes it too: so every byte has the same fate
 * under every chunking.
 *
 * Usual streams end lines with LF alone, so there the blank line is searched natively, on a Latin-1 view of the chunk; a
 * chunk that holds a CR, or is tiny, is read byte by byte.
 */
import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../json-outline.ts';
import { SseFields } from './sse-fields.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const NO_BYTES = Buffer.alloc(0);
/** Up to so many bytes a native call costs more than a loop. */
const TINY = 24;
/** The first memory for a block that comes in pieces, in bytes; it grows by doubling. */
const HELD_AT_FIRST = 512;

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
  /** The block is the LF of a CRLF whose CR ended the block before, and belongs to that. */
  isLateLineFeed = false;
  /** A block went beyond the limit; nothing more comes. */
  tooLarge = false;
  /** Of a block that is large, with its field names; null: it is not. */
  outline: JsonOutline | null = null;
  /** The last chunk, without the stream's byte order mark, and where in it the next block begins. */
  chunk: Buffer = NO_BYTES;
  position = 0;

  readonly #maxEventSize: number;
  readonly #fields = new SseFields();
  /** The chunk as Latin-1; made when it is first needed. */
  #text: string | null = null;
  #isReadByBytes = false;
  /** The state at `position`: is the line empty so far, and was the last byte the CR that ended one. */
  #lineEmpty = true;
  #afterCarriageReturn = false;
  #sawLineFeed = false;
  /** The beginning of a block whose end has not come. */
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
    const chunk = this.#atStreamStart ? this.#withoutMark(asBuffer(bytes)) : asBuffer(bytes);
    this.chunk = chunk;
    this.#text = null;
    this.position = 0;
    this.#blockEnd = 0;
    this.#isReadByBytes = chunk.length <= TINY || this.text.includes('\r');
  }

  /** The chunk as Latin-1: one character for a byte. */
  get text(): string {
    return (this.#text ??= this.chunk.toString('latin1'));
  }

  /** True if `position` is at the beginning of a block and no part of one is held. */
  get atBoundary(): boolean {
    return this.#heldLength === 0;
  }

  /** Where the last whole block of the chunk ends: the chunk's end but for what is held. */
  get blockEnd(): number {
    return this.#blockEnd;
  }

  /** The block ended with the last byte of the chunk, a CR, in a stream that knows LF: the next byte may belong to it. */
  get awaitsLineFeed(): boolean {
    return this.#afterCarriageReturn && this.#sawLineFeed && this.position === this.chunk.length;
  }

  /** Moves past blocks that the caller has read by itself from `text`, and that ended with LF. */
  skipTo(end: number): void {
    this.position = end;
    this.#blockEnd = end;
    this.#lineEmpty = true;
    this.#afterCarriageReturn = false;
    this.#sawLineFeed = true;
  }

  /** Goes to the next whole block; false when more bytes are needed or `tooLarge`. */
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

  /** At the end of the stream: goes to the unfinished block; false if there is none. */
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

  /** The block's data with its lines joined by LF, or null if it has no `data` field (then it is no event). */
  readData(): string | null {
    return this.#fields.of(this).readData();
  }

  /** The bytes of its data where they stand in one line; null: there are none, or several lines. */
  get dataLine(): Buffer | null {
    return this.#fields.of(this).dataLine;
  }

  /** What `outline` kept of the data, where that stands in one line. */
  get outlinedData(): string {
    const text = this.outline?.text ?? '';
    const line = /(?:^|[\n\r])data: ?([^\n\r]*)/.exec(text);
    return line?.[1] ?? '';
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

  /** An LF that might have come too late to be counted never counts. */
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
      // The second half of a CRLF: no line of its own.
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
        // The second half of a CRLF is no line of its own.
        if (!afterCarriageReturn && lineEmpty) end = pos + 1;
        if (!afterCarriageReturn) lineEmpty = true;
        afterCarriageReturn = false;
      } else {
        // An empty line ends here: with its LF, if that is in the chunk.
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

  /** Keeps the rest of the chunk, and lets the chunk itself go: thousands of streams may be open and silent. */
  #hold(start: number): void {
    if (start < this.chunk.length) this.#append(start, this.chunk.length);
    this.chunk = NO_BYTES;
    this.bytes = NO_BYTES;
    this.#text = null;
    this.position = 0;
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

  /** By doubling, so that single bytes cost no more than large chunks; but not beyond what an event may have. */
  #grow(length: number): void {
    const grown = Buffer.allocUnsafe(
      Math.max(length, Math.min(length * 2, this.#maxEventSize), Math.min(HELD_AT_FIRST, this.#maxEventSize)),
    );
    this.#held.copy(grown, 0, 0, this.#heldLength);
    this.#held = grown;
  }

  /** The block may be kept for long by a slow caller, so its memory is at most twice its size. */
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
