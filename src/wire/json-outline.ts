/**
 * Parses JSON of any size into a bounded number of objects: a provider may send 16 MB of `{}`, for which `JSON.parse` allocates half a
 * gigabyte and takes a second. What matters (choices, finish reasons, usage, an error) is near the top, so lists and maps are cut after
 * their first items, deeply nested values share a limit, and long strings are cut. The rest is skipped.
 *
 * It reads bytes as they arrive, copies what it keeps to a shorter text, and parses that with `JSON.parse`. In what is skipped only the
 * brackets are checked.
 */
import { Buffer } from 'node:buffer';
import { parseOrUndefined } from '../core/json.ts';
import { asBuffer } from './bytes.ts';

/** Text up to this size is parsed directly. */
const PARSED_BYTES_MAX = 64 * 1024;
/** Complete responses and events up to this size are parsed directly. */
export const OUTLINED_BYTES_MIN = 256 * 1024;
/** Items kept of one list or map. */
const ITEMS_MAX = 1_000;
const DEPTH_MAX = 64;
/** Choices and their content are within this depth; deeper values are, for example, token probabilities. */
const SHALLOW_DEPTH = 4;
/** Values kept within that depth, and as many below it. */
const VALUES_MAX = 10_000;
/** Bytes kept of one string. */
const STRING_BYTES_MAX = 1024 * 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

// Classes of bytes outside strings.
const OTHER = 0;
const QUOTES = 1;
const OPENS = 2;
const CLOSES = 3;
const SEPARATES = 4;

const KINDS = new Uint8Array(256);
KINDS[QUOTE] = QUOTES;
KINDS[OPEN_BRACE] = KINDS[OPEN_BRACKET] = OPENS;
KINDS[CLOSE_BRACE] = KINDS[CLOSE_BRACKET] = CLOSES;
KINDS[COMMA] = SEPARATES;

export class JsonOutline {
  readonly #kept: Buffer[] = [];
  readonly #items = new Uint32Array(DEPTH_MAX + 1);
  #depth = 0;
  /** The depth of the container whose rest is skipped; 0: none. */
  #skipDepth = 0;
  #inString = false;
  #isEscaped = false;
  /** Length of the current string. */
  #stringBytes = 0;
  #isCut = false;
  #shallow = 0;
  #deep = 0;
  /** The approximate number of values, kept or not. */
  values = 0;

  push(chunk: Uint8Array): void {
    const bytes = asBuffer(chunk);
    let pos = 0;
    let runStart = 0;
    while (pos < bytes.length) {
      if (this.#skipDepth > 0) {
        pos = this.#skip(bytes, pos);
        runStart = pos;
      } else if (this.#inString) {
        const isEscaped = this.#isEscaped;
        const end = this.#endOfString(bytes, pos);
        runStart = this.#keepString(bytes, runStart, pos, end, isEscaped);
        pos = end;
      } else {
        const kind = KINDS[bytes[pos++]!]!;
        if (kind === OTHER) continue;
        if (kind === OPENS || kind === SEPARATES) {
          this.values++;
          if (kind === OPENS) this.#depth++;
          if (kind === OPENS ? this.#mayOpen() : this.#mayContinue()) continue;
          // Keeps the bracket that opens a container, but not the comma before a skipped item.
          const end = kind === OPENS ? pos : pos - 1;
          this.#keep(bytes, runStart, end);
          this.#skipDepth = this.#depth;
          runStart = end;
        } else if (kind === CLOSES) {
          if (this.#depth > 0) this.#depth--;
        } else {
          this.#inString = true;
          this.#stringBytes = 0;
          this.#isCut = false;
        }
      }
    }
    if (this.#skipDepth === 0) this.#keep(bytes, runStart, bytes.length);
  }

  /** Returns the position of the bracket that closes the skipped container, or the end of the chunk. */
  #skip(bytes: Buffer, start: number): number {
    const { length } = bytes;
    const skipDepth = this.#skipDepth;
    let pos = start;
    let depth = this.#depth;
    let values = 0;
    while (pos < length) {
      if (this.#inString) {
        pos = this.#endOfString(bytes, pos);
        continue;
      }
      let kind = OTHER;
      while (pos < length && (kind = KINDS[bytes[pos]!]!) === OTHER) pos++;
      if (kind === OPENS) depth++;
      else if (kind === CLOSES) {
        if (depth === skipDepth) {
          this.#skipDepth = 0;
          break;
        }
        depth--;
      } else if (kind === QUOTES) {
        this.#inString = true;
        this.#isEscaped = false;
      }
      if (kind === OPENS || kind === SEPARATES) values++;
      pos++;
    }
    this.#depth = depth;
    this.values += values;
    return Math.min(pos, length);
  }

  /** The kept text. */
  get text(): string {
    return (this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)).toString();
  }

  /** The kept text, parsed; undefined: not JSON. */
  parse(): unknown {
    const { text } = this;
    return parseOrUndefined(text.startsWith('\ufeff') ? text.slice(1) : text);
  }

  /** True if the container that has just been opened may have items. */
  #mayOpen(): boolean {
    if (this.#depth > DEPTH_MAX) return false;
    this.#items[this.#depth] = 0;
    return this.#count();
  }

  /** True if the container may have another item. */
  #mayContinue(): boolean {
    if (this.#depth === 0) return true;
    return ++this.#items[this.#depth]! < ITEMS_MAX && this.#count();
  }

  #count(): boolean {
    return this.#depth <= SHALLOW_DEPTH ? ++this.#shallow <= VALUES_MAX : ++this.#deep <= VALUES_MAX;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (end > start) this.#kept.push(bytes.subarray(start, end));
  }

  /** The position after the closing quote, or the end of the chunk. */
  #endOfString(bytes: Buffer, start: number): number {
    let pos = this.#isEscaped ? start + 1 : start;
    for (;;) {
      const near = Math.min(bytes.length, pos + NEAR_BYTES);
      while (pos < near) {
        const byte = bytes[pos]!;
        if (byte === QUOTE) {
          this.#inString = false;
          this.#isEscaped = false;
          return pos + 1;
        }
        pos += byte === BACKSLASH ? 2 : 1;
      }
      if (pos >= bytes.length) {
        this.#isEscaped = pos > bytes.length;
        return bytes.length;
      }
      // Before the next quote only backslashes matter.
      const quote = bytes.indexOf(QUOTE, pos);
      const end = quote < 0 ? bytes.length : quote;
      pos = backslashesBefore(bytes, pos, end) % 2 === 0 ? end : end + 1;
    }
  }

  /** Cuts a string that is too long. Returns the position at which the run of kept bytes continues. */
  #keepString(bytes: Buffer, runStart: number, start: number, end: number, isEscaped: boolean): number {
    this.#stringBytes += end - start;
    if (!this.#isCut) {
      // A short chunk may hold only the rest of an escape: the string is cut in the next one.
      if (this.#stringBytes <= STRING_BYTES_MAX || end - start < CUT_BYTES_MIN) return runStart;
      const room = Math.max(CUT_BYTES_MIN, STRING_BYTES_MAX - this.#stringBytes + end - start);
      this.#keep(bytes, runStart, safeCut(bytes, isEscaped ? start + 1 : start, start + room));
      this.#isCut = true;
    }
    return this.#inString ? end : end - 1;
  }
}

/** Bytes of a string that are checked in a loop before the next quote is searched natively. */
const NEAR_BYTES = 64;

/** The number of backslashes immediately before `end`, down to `start`. */
function backslashesBefore(bytes: Buffer, start: number, end: number): number {
  let pos = end;
  while (pos > start && bytes[pos - 1] === BACKSLASH) pos--;
  return end - pos;
}

/** Longer than an escape plus the rest of the one before it. */
const CUT_BYTES_MIN = 16;

/** The last position at or before `at` that splits no character and no escape. */
function safeCut(bytes: Buffer, start: number, at: number): number {
  for (let pos = start; ;) {
    const byte = bytes[pos]!;
    const length = byte === BACKSLASH ? (bytes[pos + 1] === LOWER_U ? 6 : 2) : byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    if (pos + length > at) return pos;
    pos += length;
  }
}

/** Parses JSON, through an outline if the text is long; undefined: not JSON. */
export function parseBounded(text: string): unknown {
  if (text.length <= PARSED_BYTES_MAX) return parseOrUndefined(text);
  const outline = new JsonOutline();
  outline.push(Buffer.from(text));
  return outline.parse();
}

/** The approximate number of values in a JSON text, counted up to `max`. */
export function commasIn(text: string | Uint8Array, max: number): number {
  const json = typeof text === 'string' ? text : asBuffer(text).toString('latin1');
  let count = 0;
  for (let at = json.indexOf(','); at >= 0 && count < max; at = json.indexOf(',', at + 1)) count++;
  return count;
}
