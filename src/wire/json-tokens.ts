/** JSON tokens of more than one byte, read in place; see `json-scan.ts`. */

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const LOWER_E = 0x65;

/** In characters; no parser keeps more than 20 digits of a number. */
export const NUMBER_LENGTH_MAX = 1_000;

/** Where a string that is incomplete at the limit resumes. Set by `scanString` when it returns 0. */
export let resumeAt = 0;

// All functions below return the position after the token, or -1 minus the position of the fault.

/** In longer strings, reading by words is worth its set-up. */
const SHORT_STRING_LENGTH = 24;

/** From `start`, which is inside the string; 0: incomplete at `stop`, to be resumed at `resumeAt`. */
export function scanString(bytes: Uint8Array, start: number, stop: number): number {
  let pos = start;
  const near = Math.min(stop, pos + SHORT_STRING_LENGTH);
  while (pos < near) {
    const byte = bytes[pos] as number;
    if (byte === QUOTE) return pos + 1;
    if (byte < SPACE) return -1 - pos;
    if (byte === BACKSLASH) {
      pos = scanEscape(bytes, pos);
      if (pos < 0) return pos;
    } else pos++;
  }
  return scanLongString(bytes, pos, stop);
}

function scanLongString(bytes: Uint8Array, start: number, stop: number): number {
  const lastWord = stop - 4;
  const lastBlock = stop - 16;
  let pos = start;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (;;) {
    while (pos <= lastBlock) {
      const first = specialBytes(view.getInt32(pos, true)) | specialBytes(view.getInt32(pos + 4, true));
      const second = specialBytes(view.getInt32(pos + 8, true)) | specialBytes(view.getInt32(pos + 12, true));
      if (((first | second) & HIGH_BITS) !== 0) break;
      pos += 16;
    }
    while (pos <= lastWord && (specialBytes(view.getInt32(pos, true)) & HIGH_BITS) === 0) pos += 4;
    if (pos >= stop) {
      if (pos >= bytes.length) return -1 - pos;
      resumeAt = pos;
      return 0;
    }
    const byte = bytes[pos] as number;
    if (byte === QUOTE) return pos + 1;
    if (byte < SPACE) return -1 - pos;
    if (byte === BACKSLASH) {
      pos = scanEscape(bytes, pos);
      if (pos < 0) return pos;
    } else pos++;
  }
}

const HIGH_BITS = 0x80808080 | 0;

/**
 * Has the high bit of a byte set where one of the word's four bytes is a quote, a backslash or below 0x20 ("hasless" of Bit Twiddling
 * Hacks). Turning bit 1 makes a quote 0x20 and keeps control characters below it, so that one comparison finds both.
 */
function specialBytes(word: number): number {
  return (((word ^ 0x02020202) - 0x21212121) | ((word ^ 0x5c5c5c5c) - 0x01010101)) & ~word;
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
export function scanScalar(bytes: Uint8Array, start: number): number {
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
  const end = Math.min(bytes.length, start + NUMBER_LENGTH_MAX + 1);
  let pos = start;
  while (pos < end && isDigit(bytes[pos])) pos++;
  return pos;
}

export function isSpace(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB);
}
