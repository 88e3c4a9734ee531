/**
 * Splits the body of a new message batch, `{"requests":[{…},{…}]}`, into the bytes of its requests as it arrives, so that 256 MB take no
 * more memory than the largest request.
 *
 * It parses only the frame: where each request starts and ends. Each request is validated afterwards, by its own scan.
 * Other members of the body are skipped; they are short.
 */
import { ChunkList } from '../../core/chunk-list.ts';

export type SplitFault = { readonly fault: string; readonly isTooLarge?: boolean };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** The most that the body may hold besides the requests, in bytes. */
const FRAME_BYTES_MAX = 64 * 1024;

type State = 'start' | 'first key' | 'key' | 'colon' | 'value' | 'member' | 'after member' | 'first request' | 'request' | 'after request' | 'end'; // prettier-ignore

export class RequestSplitter {
  readonly #requestBytesMax: number;
  #state: State = 'start';
  #fault: SplitFault | null = null;
  #offset = 0;
  #frameBytes = 0;
  /** Inside a member, a key or a request. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  readonly #held = new ChunkList();
  #key = '';
  #hasRequests = false;
  #count = 0;

  /** `requestBytesMax`: of one request. */
  constructor(requestBytesMax: number) {
    this.#requestBytesMax = requestBytesMax;
  }

  /** Bytes of the current request so far. */
  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** The requests that end in this chunk, each as a copy; a fault comes last. */
  *read(piece: Uint8Array): Generator<Uint8Array | SplitFault> {
    for (let at = 0; at < piece.length && this.#fault === null;) {
      const isInside = this.#depth > 0 || this.#isInString;
      if (!isInside && this.#isSkipped(piece[at]!)) at++;
      else if (isInside || this.#begins(piece[at]!)) {
        const end = this.#readOn(piece, at);
        const ended = this.#take(piece, at, end);
        if (ended !== null) yield ended;
        at = end;
      } else {
        this.#step(piece[at]!);
        at++;
      }
      if (this.#fault !== null) yield this.#fault;
    }
    this.#offset += piece.length;
  }

  /** Null: the body was complete. */
  end(): SplitFault | null {
    if (this.#fault !== null) return this.#fault;
    if (this.#state !== 'end') return { fault: 'the body is not valid JSON: it is truncated' };
    return this.#hasRequests ? null : { fault: 'requests: field required' };
  }

  #isSkipped(byte: number): boolean {
    if (this.#state === 'start' && this.#offset === 0 && BYTE_ORDER_MARK.includes(byte)) return true;
    return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
  }

  /** True if the byte starts a token that is read as a whole: a key, a request, or the value of another member. */
  #begins(byte: number): boolean {
    if (this.#state === 'first key' || this.#state === 'key') return byte === QUOTE;
    if (this.#state === 'first request' || this.#state === 'request') return byte === OPEN_BRACE;
    return this.#state === 'value' && this.#key !== 'requests' && (byte === QUOTE || byte === OPEN_BRACE || byte === OPEN_BRACKET);
  }

  /** The end of the current token in this chunk: behind its last byte, or the end of the chunk. */
  #readOn(piece: Uint8Array, from: number): number {
    let [depth, isInString, isEscaped, at] = [this.#depth, this.#isInString, this.#isEscaped, from];
    for (let isOver = false; at < piece.length && !isOver; at++) {
      const byte = piece[at]!;
      if (isEscaped) isEscaped = false;
      else if (isInString) {
        if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) {
          isInString = false;
          isOver = depth === 0;
        }
      } else if (byte === QUOTE) isInString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) isOver = --depth === 0;
    }
    [this.#depth, this.#isInString, this.#isEscaped] = [depth, isInString, isEscaped];
    return at;
  }

  /** A completed request; null if it continues, or if the token was something else. */
  #take(piece: Uint8Array, from: number, to: number): Uint8Array | null {
    const isRequest = this.#state === 'first request' || this.#state === 'request';
    if (!isRequest && (this.#frameBytes += to - from) > FRAME_BYTES_MAX) return this.#fail('the body holds too much besides its requests');
    this.#held.add(piece.subarray(from, to));
    if (isRequest && this.#held.bytes > this.#requestBytesMax) {
      this.#fault = { fault: `requests.${this.#count}: it is larger than ${this.#requestBytesMax / 1024 / 1024} MB`, isTooLarge: true };
      return null;
    }
    if (this.#depth > 0 || this.#isInString) return null;
    const bytes = new Uint8Array(Buffer.concat(this.#held.take()));
    if (isRequest) {
      this.#count++;
      this.#state = 'after request';
      return bytes;
    }
    if (this.#state === 'value') this.#state = 'after member';
    else this.#readKey(bytes);
    return null;
  }

  #readKey(bytes: Uint8Array): void {
    try {
      this.#key = JSON.parse(Buffer.from(bytes).toString('utf8')) as string;
    } catch {
      return void this.#fail('the body is not valid JSON');
    }
    if (this.#key === 'requests' && this.#hasRequests) return void this.#fail('requests: duplicate member');
    this.#state = 'colon';
  }

  /** One byte of the frame. */
  #step(byte: number): void {
    if (++this.#frameBytes > FRAME_BYTES_MAX + 2 * this.#count) return void this.#fail('the body holds too much besides its requests');
    const next = this.#next(byte);
    if (next !== null) this.#state = next;
    else if (this.#fault === null) this.#fail('the body is not valid JSON');
  }

  #next(byte: number): State | null {
    switch (this.#state) {
      case 'start':
        return byte === OPEN_BRACE ? 'first key' : this.#fail('the body must be a JSON object');
      case 'first key':
        return byte === CLOSE_BRACE ? 'end' : null;
      case 'colon':
        return byte === COLON ? 'value' : null;
      case 'value':
        if (this.#key === 'requests') return byte === OPEN_BRACKET ? this.#beginRequests() : this.#fail('requests: must be an array');
        return isScalar(byte) ? 'member' : null;
      case 'member':
        // A number, true, false or null.
        return isScalar(byte) ? 'member' : byte === COMMA ? 'key' : byte === CLOSE_BRACE ? 'end' : null;
      case 'after member':
        return byte === COMMA ? 'key' : byte === CLOSE_BRACE ? 'end' : null;
      case 'first request':
        return byte === CLOSE_BRACKET ? 'after member' : this.#fail(`requests.${this.#count}: must be an object`);
      case 'request':
        return this.#fail(`requests.${this.#count}: must be an object`);
      case 'after request':
        return byte === COMMA ? 'request' : byte === CLOSE_BRACKET ? 'after member' : null;
      default:
        return null;
    }
  }

  #beginRequests(): State {
    this.#hasRequests = true;
    return 'first request';
  }

  #fail(fault: string): null {
    this.#fault = { fault };
    return null;
  }
}

/** Of a number, `true`, `false` or `null`. */
function isScalar(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x45
  );
}
