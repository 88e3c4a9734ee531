/**
 * Reads the top level of one JSON object in place. Bodies are relayed as bytes and never parsed and rewritten; but edits need exact
 * positions, and a body that strict JSON rejects must be rejected here. Hence a validating scanner: one pass, no allocation below the top
 * level, the same verdict as `JSON.parse`.
 *
 * ## In slices
 * A body of 64 MB takes a quarter of a second. `ObjectScan.run` therefore reads up to a limit and can be resumed: between two tokens,
 * inside white space and inside a string. All other tokens (numbers, escapes) are short, because longer ones are rejected.
 *
 * ## Limits
 * Parsers downstream build an object for each value, so depth, values and members are bounded here, independent of the size in bytes.
 *
 * Nearly all bytes of a large body are in long strings (prompts, base64). They are searched four at a time for a quote, a backslash or a
 * control character: a native search finds a single byte value, and there are 32 control characters.
 */
import { isUtf8 } from 'node:buffer';
import { assert } from '../core/assert.ts';
import { byteOrderMarkLength } from './bytes.ts';
import { DATA_URL_LENGTH_MIN, isOpaqueData, isOpaqueKind, KEY_NONE, keyKind, mediaTokens } from './json-media.ts';
import { readName } from './json-names.ts';
import { isSpace, NUMBER_LENGTH_MAX, resumeAt, scanScalar, scanString } from './json-tokens.ts';
import type { BodyMember } from './request-body.ts';

/** Deeper nesting is rejected, because parsers downstream recurse. */
export const JSON_DEPTH_MAX = 512;
/** Values at all depths: ten times what any request needs, and a parser uses about 100 bytes for each. */
export const JSON_VALUES_MAX = 1_000_000;
/** Members of the top-level object. */
export const JSON_MEMBERS_MAX = 1_000;
/** The name of a top-level member, in bytes as written. */
const NAME_LENGTH_MAX = 1_024;

export interface JsonObjectScan {
  readonly ok: true;
  readonly members: readonly BodyMember[];
  /** Bytes inside strings that hold media, at any depth, and their tokens; see `json-media.ts`. */
  readonly mediaBytes: number;
  readonly mediaTokens: number;
  /** Values at all depths. */
  readonly values: number;
  /** A member at some depth has a name that dialects use for opaque pieces. */
  readonly opaque: boolean;
}

export interface JsonFault {
  readonly ok: false;
  /** The position in bytes at which the text stops being JSON or exceeds a limit. */
  readonly at: number;
  readonly message: string;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;

// What the scan expects next.
const START = 0;
const FIRST_KEY = 1;
const KEY = 2;
const AFTER_KEY = 3;
const FIRST_ITEM = 4;
const VALUE = 5;
const AFTER_VALUE = 6;
const END = 7;
const IN_KEY = 8;
const IN_STRING = 9;

/**
 * Finds the members of the one JSON object in `bytes`. A byte order mark before it and white space around it are allowed. Everything that
 * `JSON.parse` rejects is a fault, and so are invalid UTF-8 and exceeded limits.
 */
export function scanObject(bytes: Uint8Array): JsonObjectScan | JsonFault {
  unsliced.begin(bytes);
  unsliced.run(bytes.length);
  return unsliced.take();
}

const NO_BYTES = new Uint8Array(0);
const LONG_NUMBER = `not acceptable: a number is longer than ${NUMBER_LENGTH_MAX} characters`;

/** Where a scan resumes. `containers` and `items`: those of the current top-level member so far, all and direct. */
interface Place {
  readonly pos: number;
  readonly mode: number;
  readonly depth: number;
  readonly values: number;
  readonly containers: number;
  readonly items: number;
}

const BEGINNING: Place = { pos: 0, mode: START, depth: 0, values: 0, containers: 0, items: 0 };

/** The same, a slice at a time. An object may be reused after `take`. */
export class ObjectScan {
  #bytes: Uint8Array = NO_BYTES;
  #members: BodyMember[] = [];
  // By depth: the byte that closes the container, and the kind of the last member name in it.
  readonly #closers = new Uint8Array(JSON_DEPTH_MAX);
  readonly #keyKinds = new Uint8Array(JSON_DEPTH_MAX);
  #place: Place = BEGINNING;
  #mediaBytes = 0;
  #mediaTokens = 0;
  #opaque = false;
  /** The bytes before this position are valid UTF-8. */
  #utf8End = 0;
  #stringStart = 0;
  // State of the current top-level member.
  #keyStart = 0;
  #name = '';
  #start = 0;
  #firstItem = 0;
  #lastItem = 0;
  #scalarsBefore = 0;
  #result: JsonObjectScan | JsonFault | null = null;

  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#members = [];
    this.#closers[0] = CLOSE_BRACE;
    const mark = byteOrderMarkLength(bytes);
    this.#place = mark === 0 ? BEGINNING : { ...BEGINNING, pos: mark };
    this.#mediaBytes = 0;
    this.#mediaTokens = 0;
    this.#opaque = false;
    this.#utf8End = 0;
    this.#result = null;
  }

  /** The result of a finished scan; releases the bytes. */
  take(): JsonObjectScan | JsonFault {
    const result = this.#result;
    assert(result !== null, 'the scan has finished before its result is taken');
    this.#bytes = NO_BYTES;
    this.#members = [];
    this.#result = null;
    return result;
  }

  /** Continues to about `limit`, a position in the bytes. True: finished. */
  // oxlint-disable-next-line max-lines-per-function -- one loop over the tokens: a call for each would cost a third more
  run(limit: number): boolean {
    if (this.#result !== null) return true;
    const bytes = this.#bytes;
    const stop = Math.min(limit, bytes.length);
    if (!this.#isUtf8(stop)) return this.#fail(0, 'not valid UTF-8');
    const closers = this.#closers;
    const keyKinds = this.#keyKinds;
    let { pos, mode, depth, values, containers, items } = this.#place;
    for (;;) {
      if (mode >= IN_KEY) {
        const end = scanString(bytes, pos, stop);
        if (end <= 0) {
          if (end < 0) return this.#fault(-end - 1);
          pos = resumeAt;
          break;
        }
        pos = end;
        const start = this.#stringStart;
        if (mode === IN_KEY) {
          const kind = keyKind(bytes, start + 1, end - 1);
          keyKinds[depth] = kind;
          if (isOpaqueKind(kind)) this.#opaque = true;
          if (depth === 0 && !this.#beginMember(end, values - containers)) return true;
          mode = AFTER_KEY;
        } else {
          if (end - start >= DATA_URL_LENGTH_MIN || keyKinds[depth] !== KEY_NONE) this.#countMedia(end, depth);
          if (depth === 0) this.#endMember(end, values - containers, 0);
          mode = AFTER_VALUE;
        }
      }
      while (pos < stop && isSpace(bytes[pos] as number)) pos++;
      if (pos >= stop) {
        if (stop < bytes.length) break;
        if (mode === END) return this.#succeed(values);
        return mode === START ? this.#fail(pos, 'empty') : this.#fault(pos);
      }
      const byte = bytes[pos++] as number;
      if (mode === AFTER_VALUE && byte === COMMA) {
        mode = closers[depth] === CLOSE_BRACE ? KEY : VALUE;
      } else if (mode === AFTER_KEY) {
        if (byte !== COLON) return this.#fault(pos - 1);
        mode = VALUE;
      } else if (byte === QUOTE && (mode === KEY || mode === FIRST_KEY)) {
        this.#stringStart = pos - 1;
        mode = IN_KEY;
      } else if (mode === VALUE || (mode === FIRST_ITEM && byte !== CLOSE_BRACKET)) {
        if (++values > JSON_VALUES_MAX) return this.#fail(pos - 1, `made of more than ${JSON_VALUES_MAX} values`);
        if (depth === 0) this.#start = this.#firstItem = this.#lastItem = pos - 1;
        else if (depth === 1) {
          if (items++ === 0) this.#firstItem = pos - 1;
          this.#lastItem = pos - 1;
        }
        if (byte === QUOTE) {
          this.#stringStart = pos - 1;
          mode = IN_STRING;
        } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
          // The top-level object counts as a level.
          if (depth + 1 >= JSON_DEPTH_MAX) return this.#fail(pos - 1, `nested more than ${JSON_DEPTH_MAX} levels deep`);
          // Items of an array inherit the member name of the array.
          keyKinds[depth + 1] = keyKinds[depth]!;
          closers[++depth] = byte + 2;
          if (depth === 1) items = 0;
          containers++;
          mode = byte === OPEN_BRACE ? FIRST_KEY : FIRST_ITEM;
        } else {
          const end = scanScalar(bytes, pos - 1);
          if (end < 0) return this.#fault(-end - 1);
          if (end - pos >= NUMBER_LENGTH_MAX) return this.#fail(pos - 1, LONG_NUMBER);
          pos = end;
          if (depth === 0) this.#endMember(end, values - containers, 0);
          mode = AFTER_VALUE;
        }
      } else if (byte === closers[depth] && (mode === AFTER_VALUE || mode === FIRST_KEY || mode === FIRST_ITEM)) {
        mode = AFTER_VALUE;
        if (depth === 0) mode = END;
        else if (--depth === 0) this.#endMember(pos, values - containers, items);
      } else if (mode === START) {
        if (byte !== OPEN_BRACE) return this.#fail(pos - 1, 'not a JSON object');
        mode = FIRST_KEY;
      } else return this.#fault(pos - 1);
    }
    this.#place = { pos, mode, depth, values, containers, items };
    return false;
  }

  #isUtf8(stop: number): boolean {
    if (stop <= this.#utf8End) return true;
    const bytes = this.#bytes;
    let end = stop;
    // A multi-byte character that crosses the limit belongs to the next slice.
    if (end < bytes.length) while (end > this.#utf8End && (bytes[end]! & 0xc0) === 0x80 && stop - end < 3) end--;
    const isWhole = this.#utf8End === 0 && end === bytes.length;
    if (!isUtf8(isWhole ? bytes : bytes.subarray(this.#utf8End, end))) return false;
    this.#utf8End = end;
    return true;
  }

  /** Handles the complete name of a top-level member. False: it exceeds a limit. */
  #beginMember(end: number, scalars: number): boolean {
    const start = this.#stringStart;
    if (end - start - 2 > NAME_LENGTH_MAX)
      return !this.#fail(start, `not acceptable: the name of a member is longer than ${NAME_LENGTH_MAX} bytes`);
    if (this.#members.length >= JSON_MEMBERS_MAX) return !this.#fail(start, `made of more than ${JSON_MEMBERS_MAX} members`);
    this.#keyStart = start;
    this.#name = readName(this.#bytes, start + 1, end - 1);
    this.#scalarsBefore = scalars;
    return true;
  }

  #endMember(end: number, scalars: number, items: number): void {
    this.#members.push({
      name: this.#name,
      keyStart: this.#keyStart,
      start: this.#start,
      end,
      items,
      firstItem: this.#firstItem,
      lastItem: this.#lastItem,
      scalars: scalars - this.#scalarsBefore,
    });
  }

  #countMedia(end: number, depth: number): void {
    const start = this.#stringStart;
    const parentKey = depth > 0 ? this.#keyKinds[depth - 1]! : KEY_NONE;
    if (isOpaqueData(this.#keyKinds[depth]!, parentKey)) this.#opaque = true;
    const tokens = mediaTokens(this.#bytes, start + 1, end - 1, this.#keyKinds[depth]!, parentKey);
    if (tokens < 0) return;
    this.#mediaBytes += end - start - 2;
    this.#mediaTokens += tokens;
  }

  #succeed(values: number): true {
    this.#result = {
      ok: true,
      members: this.#members,
      mediaBytes: this.#mediaBytes,
      mediaTokens: this.#mediaTokens,
      values,
      opaque: this.#opaque,
    };
    return true;
  }

  #fault(at: number): true {
    return this.#fail(at, at >= this.#bytes.length ? 'not complete JSON' : `not valid JSON at byte ${at}`);
  }

  #fail(at: number, message: string): true {
    this.#result = { ok: false, at, message };
    return true;
  }
}

/** Shared by all scans that are not sliced, which never overlap. */
const unsliced = new ObjectScan();
