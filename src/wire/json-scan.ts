/**
 * Reads the top level of one JSON object in place. Bodies are relayed as bytes, so they are never parsed into values and
 * written again; but what is edited must be found exactly, and a body that strict JSON refuses must be refused here.
 * Hence a validating scanner: one pass, no allocation below the top level, the verdict of `JSON.parse`.
 *
 * Nearly all bytes of a large body lie in long strings (prompts, base64). They are searched four at a time for a
 * quote, a backslash or a control character: a native search finds one byte value only, and control characters are 32.
 */
import { isUtf8 } from 'node:buffer';
import { byteOrderMarkLength } from './bytes.ts';
import { DATA_URL_LENGTH_MIN, KEY_NONE, keyKind, mediaTokens } from './json-media.ts';
import { readName } from './json-names.ts';
import type { BodyMember } from './request-body.ts';

/** Deeper nesting is refused; parsers behind us recurse. */
export const JSON_DEPTH_MAX = 512;

export interface JsonObjectScan {
  readonly ok: true;
  readonly members: readonly BodyMember[];
  /** Bytes inside strings that hold media, at any depth, and what these cost in tokens; see `json-media.ts`. */
  readonly mediaBytes: number;
  readonly mediaTokens: number;
}

export interface JsonFault {
  readonly ok: false;
  /** Where the text stops being JSON, in bytes. */
  readonly at: number;
  readonly message: string;
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const LOWER_E = 0x65;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

// Scratch of the scan that is running; scans never overlap, as they are synchronous and call nobody back.
const closers = new Uint8Array(JSON_DEPTH_MAX + 1);
const keyKinds = new Uint8Array(JSON_DEPTH_MAX + 1);
let mediaBytesFound = 0;
let mediaTokensFound = 0;

/**
 * Finds the members of the one JSON object that `bytes` hold. A byte order mark before it and white space around it are
 * allowed. Everything that `JSON.parse` refuses is a fault, and so are invalid UTF-8 and nesting beyond `JSON_DEPTH_MAX`.
 */
export function scanObject(bytes: Uint8Array): JsonObjectScan | JsonFault {
  if (!isUtf8(bytes)) return { ok: false, at: 0, message: 'not valid UTF-8' };
  mediaBytesFound = 0;
  mediaTokensFound = 0;
  const start = skipSpace(bytes, byteOrderMarkLength(bytes));
  if (bytes[start] !== OPEN_BRACE) return { ok: false, at: start, message: start === bytes.length ? 'empty' : 'not a JSON object' };
  const members: BodyMember[] = [];
  const end = scanMembers(bytes, start, members);
  if (end < 0) return fault(bytes, -end - 1);
  const rest = skipSpace(bytes, end);
  if (rest < bytes.length) return fault(bytes, rest);
  return { ok: true, members, mediaBytes: mediaBytesFound, mediaTokens: mediaTokensFound };
}

function fault(bytes: Uint8Array, at: number): JsonFault {
  return { ok: false, at, message: at >= bytes.length ? 'not complete JSON' : `not valid JSON at byte ${at}` };
}

// All functions below return the position after what they read, or -1 minus the position of the fault.

function scanMembers(bytes: Uint8Array, open: number, members: BodyMember[]): number {
  let pos = skipSpace(bytes, open + 1);
  if (bytes[pos] === CLOSE_BRACE) return pos + 1;
  for (;;) {
    const keyStart = pos;
    const keyEnd = bytes[pos] === QUOTE ? scanString(bytes, pos) : -1 - pos;
    if (keyEnd < 0) return keyEnd;
    pos = skipSpace(bytes, keyEnd);
    if (bytes[pos] !== COLON) return -1 - pos;
    const start = skipSpace(bytes, pos + 1);
    keyKinds[0] = keyKind(bytes, keyStart + 1, keyEnd - 1);
    const end = scanValue(bytes, start);
    if (end < 0) return end;
    members.push({ name: readName(bytes, keyStart + 1, keyEnd - 1), keyStart, start, end });
    pos = skipSpace(bytes, end);
    if (bytes[pos] === CLOSE_BRACE) return pos + 1;
    if (bytes[pos] !== COMMA) return -1 - pos;
    pos = skipSpace(bytes, pos + 1);
  }
}

/** One value of any depth. `keyKinds[0]` holds the kind of the top-level name it belongs to. */
function scanValue(bytes: Uint8Array, start: number): number {
  let pos = start;
  let depth = 0;
  for (;;) {
    const byte = bytes[pos];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      // The top-level object is a level too.
      if (depth + 1 >= JSON_DEPTH_MAX) return -1 - pos;
      // Items of an array carry on the name that the array stands under.
      const inherited = keyKinds[depth] ?? KEY_NONE;
      depth++;
      closers[depth] = byte + 2;
      keyKinds[depth] = inherited;
      pos = skipSpace(bytes, pos + 1);
      if (bytes[pos] !== byte + 2) {
        if (byte === OPEN_BRACE) pos = scanKey(bytes, pos, depth);
        if (pos < 0) return pos;
        continue;
      }
    } else {
      pos = byte === QUOTE ? scanStringValue(bytes, pos, depth) : scanScalar(bytes, pos);
      if (pos < 0) return pos;
    }
    while (depth > 0) {
      pos = skipSpace(bytes, pos);
      if (bytes[pos] !== closers[depth]) break;
      depth--;
      pos++;
    }
    if (depth === 0) return pos;
    if (bytes[pos] !== COMMA) return -1 - pos;
    pos = skipSpace(bytes, pos + 1);
    if (closers[depth] === CLOSE_BRACE) pos = scanKey(bytes, pos, depth);
    if (pos < 0) return pos;
  }
}

/** A nested member's name, its colon, and the space after it. */
function scanKey(bytes: Uint8Array, start: number, depth: number): number {
  if (bytes[start] !== QUOTE) return -1 - start;
  const end = scanString(bytes, start);
  if (end < 0) return end;
  keyKinds[depth] = keyKind(bytes, start + 1, end - 1);
  const pos = skipSpace(bytes, end);
  return bytes[pos] === COLON ? skipSpace(bytes, pos + 1) : -1 - pos;
}

function scanStringValue(bytes: Uint8Array, start: number, depth: number): number {
  const end = scanString(bytes, start);
  if (end < 0) return end;
  const key = keyKinds[depth] ?? KEY_NONE;
  if (key === KEY_NONE && end - start < DATA_URL_LENGTH_MIN) return end;
  const parentKey = depth > 0 ? (keyKinds[depth - 1] ?? KEY_NONE) : KEY_NONE;
  const tokens = mediaTokens(bytes, start + 1, end - 1, key, parentKey);
  if (tokens >= 0) {
    mediaBytesFound += end - start - 2;
    mediaTokensFound += tokens;
  }
  return end;
}

/** Beyond this length the set-up of reading by words pays. */
const SHORT_STRING_LENGTH = 24;

function scanString(bytes: Uint8Array, start: number): number {
  let pos = start + 1;
  const near = Math.min(bytes.length, pos + SHORT_STRING_LENGTH);
  while (pos < near) {
    const byte = bytes[pos] as number;
    if (byte === QUOTE) return pos + 1;
    if (byte < SPACE) return -1 - pos;
    if (byte === BACKSLASH) {
      pos = scanEscape(bytes, pos);
      if (pos < 0) return pos;
    } else pos++;
  }
  return scanLongString(bytes, pos);
}

function scanLongString(bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lastWord = bytes.length - 4;
  let pos = start;
  for (;;) {
    while (pos <= lastWord && !hasSpecialByte(view.getInt32(pos, true))) pos += 4;
    if (pos >= bytes.length) return -1 - pos;
    const byte = bytes[pos] as number;
    if (byte === QUOTE) return pos + 1;
    if (byte < SPACE) return -1 - pos;
    if (byte === BACKSLASH) {
      pos = scanEscape(bytes, pos);
      if (pos < 0) return pos;
    } else pos++;
  }
}

/**
 * True if one of the word's four bytes is a quote, a backslash or below 0x20 ("hasless" of Bit Twiddling Hacks). Turning
 * bit 1 makes a quote 0x20 and keeps control characters below it, so that one comparison finds both.
 */
function hasSpecialByte(word: number): boolean {
  return ((((word ^ 0x02020202) - 0x21212121) | ((word ^ 0x5c5c5c5c) - 0x01010101)) & ~word & 0x80808080) !== 0;
}

function scanEscape(bytes: Uint8Array, backslash: number): number {
  switch (bytes[backslash + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return backslash + 2;
    case 0x75: // u
      for (let i = backslash + 2; i < backslash + 6; i++) if (!isHexDigit(bytes[i])) return -1 - Math.min(i, bytes.length);
      return backslash + 6;
    default:
      return -1 - Math.min(backslash + 1, bytes.length);
  }
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** A number, `true`, `false` or `null`. */
function scanScalar(bytes: Uint8Array, start: number): number {
  switch (bytes[start]) {
    case 0x74:
      return scanWord(bytes, start, 'true');
    case 0x66:
      return scanWord(bytes, start, 'false');
    case 0x6e:
      return scanWord(bytes, start, 'null');
    default:
      return scanNumber(bytes, start);
  }
}

function scanWord(bytes: Uint8Array, start: number, word: string): number {
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word.charCodeAt(i)) return -1 - Math.min(start + i, bytes.length);
  return start + word.length;
}

function scanNumber(bytes: Uint8Array, start: number): number {
  let pos = bytes[start] === MINUS ? start + 1 : start;
  if (!isDigit(bytes[pos])) return -1 - Math.min(pos, bytes.length);
  pos = bytes[pos] === ZERO ? pos + 1 : skipDigits(bytes, pos);
  if (bytes[pos] === DOT) {
    if (!isDigit(bytes[pos + 1])) return -1 - Math.min(pos + 1, bytes.length);
    pos = skipDigits(bytes, pos + 1);
  }
  if (pos < bytes.length && ((bytes[pos] as number) | 0x20) === LOWER_E) {
    const sign = bytes[pos + 1];
    pos += sign === PLUS || sign === MINUS ? 2 : 1;
    if (!isDigit(bytes[pos])) return -1 - Math.min(pos, bytes.length);
    pos = skipDigits(bytes, pos);
  }
  return pos;
}

function skipDigits(bytes: Uint8Array, start: number): number {
  let pos = start;
  while (pos < bytes.length && isDigit(bytes[pos])) pos++;
  return pos;
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let pos = start;
  while (pos < bytes.length) {
    const byte = bytes[pos] as number;
    if (byte > SPACE || (byte !== SPACE && byte !== LINE_FEED && byte !== CARRIAGE_RETURN && byte !== TAB)) return pos;
    pos++;
  }
  return pos;
}
