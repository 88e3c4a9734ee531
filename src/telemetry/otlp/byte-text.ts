import { NAMES } from './names.ts';

type Key = keyof typeof NAMES;

const CAPACITY_MIN = 1_024;
/** Shorter texts are written character by character: a call of the native function takes longer. */
const SHORT_LENGTH = 24;
/** The most bytes of a UTF-16 unit in UTF-8. */
const BYTES_PER_UNIT = 3;
const QUOTE = 0x22;
/** Needs no escape. */
const PLAIN = /^[\w ./:#;,+()-]*$/;

/** The beginnings of attributes that follow others, by type. */
const startsOf = (type: string): Record<Key, Buffer> =>
  Object.fromEntries(
    Object.entries(NAMES).map(([key, name]) => [key, Buffer.from(`,{"key":${JSON.stringify(name)},"value":{"${type}":`)]),
  ) as Record<Key, Buffer>;
const INTEGERS = startsOf('intValue');
const DOUBLES = startsOf('doubleValue');
const TEXTS = startsOf('stringValue');
const END = Buffer.from('}}');

/** JSON in UTF-8, written into one buffer: strings that are joined and then encoded take twice the time. */
export class ByteText {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(capacity, CAPACITY_MIN));
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  constant(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Adds ASCII characters. */
  ascii(text: string): this {
    const { length } = text;
    this.#reserve(length);
    if (length > SHORT_LENGTH) this.#bytes.write(text, this.#length, 'latin1');
    else for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = text.charCodeAt(i);
    this.#length += length;
    return this;
  }

  quoted(text: string): this {
    if (PLAIN.test(text)) return this.#quote().ascii(text).#quote();
    const json = JSON.stringify(text);
    this.#reserve(json.length * BYTES_PER_UNIT);
    this.#length += this.#bytes.write(json, this.#length);
    return this;
  }

  /** Adds an attribute that follows others, if there is a value. */
  number(key: Key, value: number | null | undefined): this {
    if (value === null || value === undefined) return this;
    return this.constant((Number.isInteger(value) ? INTEGERS : DOUBLES)[key])
      .ascii(String(value))
      .constant(END);
  }

  /** The same for a text from outside. */
  text(key: Key, value: string | null): this {
    return value === null ? this : this.constant(TEXTS[key]).quoted(value).constant(END);
  }

  /** An integer from 0 on with at least so many digits. */
  digits(value: number, count: number): this {
    return this.ascii(String(value).padStart(count, '0'));
  }

  #quote(): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = QUOTE;
    return this;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
