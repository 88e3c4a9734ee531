/** Parses a multipart body (RFC 7578) as it arrives, as strictly as `multipart.ts` parses a complete one; content is emitted at once. */
import { boundaryOf, PART_HEADERS_LENGTH_MAX, readPartHeaders } from './multipart.ts';

export type MultipartEvent =
  | { readonly kind: 'part'; readonly name: string; readonly filename: string; readonly isFile: boolean }
  /** Further content of the last part. */
  | { readonly kind: 'content'; readonly bytes: Uint8Array }
  | { readonly kind: 'fault'; readonly message: string };

const PARTS_MAX = 100;
const HEADERS_END = '\r\n\r\n';

export class MultipartStream {
  readonly #delimiter: Buffer;
  readonly #isReadable: boolean;
  #held: Buffer = Buffer.alloc(0);
  #state: 'start' | 'after delimiter' | 'content' | 'end' | 'fault' = 'start';
  #parts = 0;

  constructor(contentType: string) {
    const boundary = boundaryOf(contentType);
    this.#isReadable = boundary !== null;
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    // The first boundary has no line break before it.
    this.#held = Buffer.from('\r\n');
  }

  /** True: the closing boundary was read. */
  get isComplete(): boolean {
    return this.#state === 'end';
  }

  *read(piece: Uint8Array): Generator<MultipartEvent> {
    if (!this.#isReadable) return yield this.#fault('its content type names no boundary');
    this.#held = Buffer.concat([this.#held, piece]);
    for (;;) {
      const [state, { length }] = [this.#state, this.#held];
      const event = this.#step();
      if (event !== null) yield event;
      else if (state === this.#state && length === this.#held.length) return;
    }
  }

  #step(): MultipartEvent | null {
    switch (this.#state) {
      case 'start':
        return this.#begin();
      case 'after delimiter':
        return this.#readHeaders();
      case 'content':
        return this.#readContent();
      case 'end':
        return this.#held.length > 2 || !'\r\n'.startsWith(this.#held.toString('latin1'))
          ? this.#fault('there is data after its closing boundary')
          : null;
      default:
        return null;
    }
  }

  #begin(): MultipartEvent | null {
    const { length } = this.#delimiter;
    if (this.#held.length < length) return null;
    if (!this.#held.subarray(0, length).equals(this.#delimiter)) return this.#fault('it does not begin with its boundary');
    this.#held = this.#held.subarray(length);
    this.#state = 'after delimiter';
    return null;
  }

  #readHeaders(): MultipartEvent | null {
    const held = this.#held;
    if (held.length < 2) return null;
    const start = held.toString('latin1', 0, 2);
    if (start === '--') {
      this.#held = held.subarray(2);
      this.#state = 'end';
      return null;
    }
    if (start !== '\r\n') return this.#fault('there is data after a boundary');
    const end = held.indexOf(HEADERS_END);
    if (end < 0) return held.length > PART_HEADERS_LENGTH_MAX ? this.#fault('the headers of a part are too long') : null;
    if (++this.#parts > PARTS_MAX) return this.#fault(`it has more than ${PARTS_MAX} parts`);
    const read = readPartHeaders(held.toString('utf8', 2, Math.max(2, end)));
    if (typeof read === 'string') return this.#fault(read);
    // The line break before a delimiter belongs to the delimiter, not to the headers: an empty part has both.
    this.#held = held.subarray(end + HEADERS_END.length);
    this.#state = 'content';
    return { kind: 'part', name: read.name, filename: read.filename, isFile: read.isFile };
  }

  #readContent(): MultipartEvent | null {
    const held = this.#held;
    const at = held.indexOf(this.#delimiter);
    if (at >= 0) {
      this.#held = held.subarray(at + this.#delimiter.length);
      this.#state = 'after delimiter';
      return at === 0 ? null : { kind: 'content', bytes: held.subarray(0, at) };
    }
    // Bytes that may begin a delimiter are held back.
    const safe = held.length - this.#delimiter.length + 1;
    if (safe <= 0) return null;
    this.#held = held.subarray(safe);
    return { kind: 'content', bytes: held.subarray(0, safe) };
  }

  #fault(reason: string): MultipartEvent {
    this.#state = 'fault';
    return { kind: 'fault', message: `the multipart body can't be parsed: ${reason}` };
  }
}
