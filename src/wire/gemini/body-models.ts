/**
 * Models that a Gemini request names in its body, beside the one in its path: `requests[].model` of batchEmbedContents, `generateContentRequest.model`
 * of countTokens, `model` of embedContent. All have to be the model of the path, and are replaced along with it, in place.
 */
import { assert } from '../../core/assert.ts';
import { byteOrderMarkLength } from '../bytes.ts';
import { readName } from '../json-names.ts';
import { resumeAt, scanString } from '../json-tokens.ts';
import { readString } from '../json-values.ts';

export type BodyModels =
  | {
      readonly ok: true;
      /** The body, divided at the place of each model. */
      readonly pieces: readonly Uint8Array[];
    }
  | { readonly ok: false; readonly message: string };

/** Members that hold requests with models of their own. */
export const NESTED_REQUESTS: ReadonlySet<string> = new Set(['requests', 'generateContentRequest', 'generate_content_request']);

/** Bytes read in one step. */
const STEP_BYTES = 64 * 1024;
const NAME_BYTES_MAX = 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A container is a request, whose `model` counts; a list of requests; or anything else. */
type Kind = 'request' | 'requests' | 'other';

/** Finds the models step by step. The bytes have been scanned, so they are one valid JSON object. */
export class BodyModelScan {
  readonly #bytes: Uint8Array;
  readonly #model: string;
  #pos: number;
  readonly #kinds: Kind[] = [];
  /** The start of the string that is being read; -1: none. */
  #stringStart = -1;
  #expectsName = false;
  /** The last member name in the current request. */
  #name = '';
  /** The next value is a model. */
  #expectsModel = false;
  #isOther = false;
  readonly #pieces: Uint8Array[] = [];
  #pieceStart = 0;

  /** `model`: of the path. */
  constructor(bytes: Uint8Array, model: string) {
    this.#bytes = bytes;
    this.#model = model;
    this.#pos = byteOrderMarkLength(bytes);
  }

  /** True: finished. */
  step(): boolean {
    const bytes = this.#bytes;
    const stop = Math.min(this.#pos + STEP_BYTES, bytes.length);
    while (this.#pos < stop) {
      if (this.#stringStart >= 0) {
        const end = scanString(bytes, this.#pos, stop);
        assert(end >= 0, 'the bytes are valid JSON');
        this.#pos = end === 0 ? resumeAt : end;
        if (end === 0) break;
        this.#endString(end);
      } else this.#read(bytes[this.#pos++]!);
    }
    return this.#isOther || this.#pos >= bytes.length;
  }

  /** The result, after the last step; null: the body names no model. */
  take(): BodyModels | null {
    if (this.#isOther) return { ok: false, message: `'model' in the body must be the model of the path, models/${this.#model}` };
    if (this.#pieces.length === 0) return null;
    return { ok: true, pieces: [...this.#pieces, this.#bytes.subarray(this.#pieceStart)] };
  }

  #read(byte: number): void {
    if (byte === QUOTE) this.#stringStart = this.#pos - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#endValue();
      this.#kinds.push(this.#kindOf(byte === OPEN_BRACE));
      this.#expectsName = byte === OPEN_BRACE;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#endValue();
      this.#kinds.pop();
      this.#expectsName = false;
    } else if (byte === COMMA) {
      this.#endValue();
      this.#expectsName = this.#kinds.at(-1) === 'request';
    }
  }

  #kindOf(isObject: boolean): Kind {
    if (this.#kinds.length === 0) return 'request';
    if (this.#kinds.at(-1) === 'requests') return isObject ? 'request' : 'other';
    if (this.#kinds.length > 1 || !NESTED_REQUESTS.has(this.#name)) return 'other';
    if (this.#name === 'requests') return isObject ? 'other' : 'requests';
    return isObject ? 'request' : 'other';
  }

  #endString(end: number): void {
    const start = this.#stringStart;
    this.#stringStart = -1;
    if (this.#kinds.at(-1) !== 'request') return;
    if (this.#expectsName) {
      this.#expectsName = false;
      this.#name = end - start > NAME_BYTES_MAX ? '' : readName(this.#bytes, start + 1, end - 1);
      this.#expectsModel = this.#name === 'model';
    } else if (this.#expectsModel) {
      this.#expectsModel = false;
      const name = end - start > NAME_BYTES_MAX ? null : readString(this.#bytes, { start, end });
      if (name !== this.#model && name !== `models/${this.#model}`) this.#isOther = true;
      this.#pieces.push(this.#bytes.subarray(this.#pieceStart, start));
      this.#pieceStart = end;
    }
  }

  /** A model that is still expected is not a string. */
  #endValue(): void {
    if (this.#expectsModel) this.#isOther = true;
  }
}
