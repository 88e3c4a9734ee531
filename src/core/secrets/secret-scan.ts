/**
 * Finds many secrets in bytes at once, at a cost that does not grow with their number (Wu and Manber, 1994): a table says by the
 * last two bytes of a window how far the window may move, so that most bytes are never looked at. What the window stops at is compared
 * with the secrets that begin like it.
 */

const KEY_BYTES = 4;
const QUOTE = 0x22;
/** A part of so few bytes reveals nothing of a secret, so the event that ends with it is not held back. */
const HIDDEN_MAX = 3;

/** A form of a secret that stands in the bytes: all of it, or a part of it that a JSON string begins or ends with. */
export interface Found {
  readonly form: Buffer;
  readonly start: number;
  /** How many bytes of the form are missing before `start`. */
  readonly skipped: number;
  /** How many of its bytes stand here. */
  readonly length: number;
}

interface Beginning {
  readonly form: Buffer;
  /** Bytes that it leaves out; then it starts with a quote. */
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

  /** Where something begins like a secret, at `from` or after it; -1: nowhere. */
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

  at(bytes: Uint8Array, position: number): readonly Beginning[] {
    return this.#beginnings.get(keyAt(bytes, position)) ?? [];
  }
}

/** Begins the escape by which any ASCII character may be written in JSON. */
export const ESCAPE = Buffer.from('\\u00');

/** The shortest form, in bytes. */
export const FORM_LENGTH_MIN = 8;

export class SecretScan {
  /** Finds whole forms only, and moves twice as far. */
  readonly #wholes = new Window(FORM_LENGTH_MIN);
  /** Finds forms by their first four bytes, and those that begin a JSON string without their first one to three. */
  readonly #parts = new Window(KEY_BYTES);
  /** The first one to three bytes of every form, as latin1. */
  readonly #starts = new Set<string>();
  readonly #lengthMax: number;

  constructor(forms: readonly Buffer[]) {
    this.#parts.add(ESCAPE, { form: ESCAPE, skipped: 0 });
    this.#lengthMax = Math.max(0, ...forms.map((form) => form.length));
    for (const form of forms) {
      this.#wholes.add(form, { form, skipped: 0 });
      this.#parts.add(form, { form, skipped: 0 });
      for (let skipped = 1; skipped <= HIDDEN_MAX; skipped++) {
        this.#parts.add(Buffer.concat([Buffer.of(QUOTE), form.subarray(skipped)]), { form, skipped });
        this.#starts.add(form.toString('latin1', 0, skipped));
      }
    }
  }

  /** Every whole form. */
  wholes(bytes: Uint8Array): readonly Found[] {
    return collect(this.#wholes, bytes, isWhole);
  }

  /** Every part of a form that a JSON string ends with, and every form that begins one but for its first bytes. */
  parts(bytes: Uint8Array): readonly Found[] {
    return collect(this.#parts, bytes, (found) => found.skipped > 0 || !isWhole(found));
  }

  /** True if there is a whole form, a part of one, or an escape of ASCII. */
  touches(bytes: Uint8Array): boolean {
    for (let begin = this.#parts.next(bytes, 0); begin >= 0; begin = this.#parts.next(bytes, begin + 1)) {
      for (const beginning of this.#parts.at(bytes, begin)) if (compare(bytes, begin, beginning) !== null) return true;
    }
    return false;
  }

  /** How many bytes at the end may be the beginning of a secret. */
  openTail(bytes: Uint8Array): number {
    const from = Math.max(0, bytes.length - this.#lengthMax);
    for (let begin = this.#parts.next(bytes, from); begin >= 0; begin = this.#parts.next(bytes, begin + 1)) {
      for (const { form, skipped } of this.#parts.at(bytes, begin)) {
        const length = skipped === 0 ? commonLength(bytes, begin, form, 0) : 0;
        if (length > 0 && length < form.length && begin + length === bytes.length) return length;
      }
    }
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

/** Null: neither the whole form stands here, nor a part that a JSON string ends with. */
function compare(bytes: Uint8Array, begin: number, { form, skipped }: Beginning): Found | null {
  const start = skipped === 0 ? begin : begin + 1;
  const length = commonLength(bytes, start, form, skipped);
  if (length === 0 || (skipped + length < form.length && bytes[start + length] !== QUOTE)) return null;
  return { form, start, skipped, length };
}

/** How many bytes from `start` on are those of the form from `skipped` on. */
export function commonLength(bytes: Uint8Array, start: number, form: Uint8Array, skipped: number): number {
  let length = 0;
  while (skipped + length < form.length && bytes[start + length] === form[skipped + length]) length++;
  return length;
}
