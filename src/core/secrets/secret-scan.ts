/**
 * Searches bytes for many secrets at once, at a cost that does not grow with their number (Wu and Manber, 1994): a table gives, by the last
 * two bytes of a window, how far the window can move, so that most bytes are skipped. At a stop, the window is compared with the secrets
 * that have the same beginning.
 */

const KEY_BYTES = 4;
const QUOTE = 0x22;
const SPACE = 0x20;
const BACKSLASH = 0x5c;
/** Ids and header values are shorter, in characters. */
const SHORT_LENGTH_MAX = 256;
/** A part of at most this many bytes reveals nothing of a secret, so an event that ends with it is not held back. */
const HIDDEN_MAX = 3;

/** A match: a whole form of a secret, or a part of it at the beginning or end of a JSON string. */
export interface Found {
  readonly form: Buffer;
  readonly start: number;
  /** Number of bytes of the form that are missing before `start`. */
  readonly skipped: number;
  /** Number of matched bytes. */
  readonly length: number;
}

interface Beginning {
  readonly form: Buffer;
  /** Number of bytes left out; if not 0, it starts with a quote. */
  readonly skipped: number;
}

class Window {
  readonly #length: number;
  readonly #shifts: Uint8Array;
  readonly #beginnings = new Map<number, Beginning[]>();

  /** `length` in bytes, at least 4: no beginning is shorter. */
  constructor(length: number) {
    this.#length = length;
    this.#shifts = new Uint8Array(0x10000).fill(length - 1);
  }

  add(bytes: Buffer, beginning: Beginning): void {
    for (let at = 1; at < this.#length; at++) {
      const pair = (bytes[at - 1]! << 8) | bytes[at]!;
      this.#shifts[pair] = Math.min(this.#shifts[pair]!, this.#length - 1 - at);
    }
    const key = keyAt(bytes, 0);
    const list = this.#beginnings.get(key);
    if (list === undefined) this.#beginnings.set(key, [beginning]);
    else list.push(beginning);
  }

  /** The next position, from `from` on, with the beginning of a secret; -1: none. */
  next(bytes: Uint8Array, from: number): number {
    const shifts = this.#shifts;
    const reach = this.#length - 1;
    const { length } = bytes;
    let last = from + reach;
    while (last < length) {
      const shift = shifts[(bytes[last - 1]! << 8) | bytes[last]!]!;
      if (shift > 0) last += shift;
      else if (this.#beginnings.has(keyAt(bytes, last - reach))) return last - reach;
      else last++;
    }
    return -1;
  }

  /** The same in text of one character per byte, up to `end`. */
  nextInText(text: string, from: number, end: number): number {
    const shifts = this.#shifts;
    const reach = this.#length - 1;
    let last = from + reach;
    while (last < end) {
      const shift = shifts[(text.charCodeAt(last - 1) << 8) | text.charCodeAt(last)]!;
      if (shift > 0) last += shift;
      else if (this.#beginnings.has(keyIn(text, last - reach))) return last - reach;
      else last++;
    }
    return -1;
  }

  at(bytes: Uint8Array, position: number): readonly Beginning[] {
    return this.#beginnings.get(keyAt(bytes, position)) ?? [];
  }
}

/** The beginning of a JSON escape of an ASCII character. */
export const ESCAPE = Buffer.from('\\u00');

/** Minimum length of a form, in bytes. */
export const FORM_LENGTH_MIN = 8;

export class SecretScan {
  /** Finds whole forms only, with larger steps. */
  readonly #wholes = new Window(FORM_LENGTH_MIN);
  /** Finds forms by their first four bytes, and those without their first one to three bytes at the beginning of a JSON string. */
  readonly #parts = new Window(KEY_BYTES);
  /** The first one to three bytes of every form, as latin1. */
  readonly #starts = new Set<string>();
  /** By byte: 1 if one of them ends with it. */
  readonly #startEnds = new Uint8Array(256);
  readonly #lengthMax: number;
  /** No form contains a quote or a control character, so that none extends beyond one JSON string. */
  readonly isWithinStrings: boolean;

  constructor(forms: readonly Buffer[]) {
    this.isWithinStrings = !forms.some((form) => form.some((byte) => byte < SPACE || byte === QUOTE));
    this.#parts.add(ESCAPE, { form: ESCAPE, skipped: 0 });
    this.#lengthMax = Math.max(0, ...forms.map((form) => form.length));
    for (const form of forms) {
      this.#wholes.add(form, { form, skipped: 0 });
      this.#parts.add(form, { form, skipped: 0 });
      for (let skipped = 1; skipped <= HIDDEN_MAX; skipped++) {
        this.#parts.add(Buffer.concat([Buffer.of(QUOTE), form.subarray(skipped)]), { form, skipped });
        this.#starts.add(form.toString('latin1', 0, skipped));
        this.#startEnds[form[skipped - 1]!] = 1;
      }
    }
  }

  /** Every whole form. */
  wholes(bytes: Uint8Array): readonly Found[] {
    return collect(this.#wholes, bytes, isWhole);
  }

  /** Every part of a form at the end of a JSON string, and every form without its first bytes at the beginning of one. */
  parts(bytes: Uint8Array): readonly Found[] {
    return collect(this.#parts, bytes, (found) => found.skipped > 0 || !isWhole(found));
  }

  /** True if the bytes contain a whole form, a part of one, or an escape of ASCII. */
  touches(bytes: Uint8Array): boolean {
    for (let begin = this.#parts.next(bytes, 0); begin >= 0; begin = this.#parts.next(bytes, begin + 1)) {
      for (const beginning of this.#parts.at(bytes, begin)) if (compare(bytes, begin, beginning) !== null) return true;
    }
    return false;
  }

  /** True: a short text of ASCII without secrets and escapes. False: unknown. */
  isFreeOf(text: string): boolean {
    if (text.length > SHORT_LENGTH_MAX) return false;
    for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f || text.charCodeAt(at) === BACKSLASH) return false;
    return this.#wholes.nextInText(text, 0, text.length) < 0;
  }

  /** As `touches`, for the inside of one JSON string in text of one character per byte; `from` is the position of its opening quote. */
  touchesString(text: string, from: number, end: number): boolean {
    return this.#parts.nextInText(text, from, end) >= 0 && this.touches(Buffer.from(text.slice(from, end + 1), 'latin1'));
  }

  /** Number of bytes at the end that may be the beginning of a secret. */
  openTail(bytes: Uint8Array): number {
    const from = Math.max(0, bytes.length - this.#lengthMax);
    for (let begin = this.#parts.next(bytes, from); begin >= 0; begin = this.#parts.next(bytes, begin + 1)) {
      for (const { form, skipped } of this.#parts.at(bytes, begin)) {
        const length = skipped === 0 ? commonLength(bytes, begin, form, 0) : 0;
        if (length > 0 && length < form.length && begin + length === bytes.length) return length;
      }
    }
    if (bytes.length === 0 || this.#startEnds[bytes[bytes.length - 1]!] === 0) return 0;
    for (let length = Math.min(HIDDEN_MAX, bytes.length); length > 0; length--) {
      let tail = '';
      for (let at = bytes.length - length; at < bytes.length; at++) tail += String.fromCharCode(bytes[at]!);
      if (this.#starts.has(tail)) return length;
    }
    return 0;
  }
}

const NOTHING: readonly Found[] = [];

function collect(window: Window, bytes: Uint8Array, wants: (found: Found) => boolean): readonly Found[] {
  let all: Found[] | null = null;
  for (let begin = window.next(bytes, 0); begin >= 0; begin = window.next(bytes, begin + 1)) {
    for (const beginning of window.at(bytes, begin)) {
      const found = compare(bytes, begin, beginning);
      if (found !== null && wants(found)) (all ??= []).push(found);
    }
  }
  return all ?? NOTHING;
}

export function isWhole({ form, skipped, length }: Found): boolean {
  return skipped + length === form.length;
}

function keyAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function keyIn(text: string, at: number): number {
  return (text.charCodeAt(at) << 24) | (text.charCodeAt(at + 1) << 16) | (text.charCodeAt(at + 2) << 8) | text.charCodeAt(at + 3);
}

/** Null: neither a whole form nor a part at the end of a JSON string. */
function compare(bytes: Uint8Array, begin: number, { form, skipped }: Beginning): Found | null {
  const start = skipped === 0 ? begin : begin + 1;
  const length = commonLength(bytes, start, form, skipped);
  if (length === 0 || (skipped + length < form.length && bytes[start + length] !== QUOTE)) return null;
  return { form, start, skipped, length };
}

/** Number of bytes from `start` on that match the form from `skipped` on. */
export function commonLength(bytes: Uint8Array, start: number, form: Uint8Array, skipped: number): number {
  let length = 0;
  while (skipped + length < form.length && bytes[start + length] === form[skipped + length]) length++;
  return length;
}
