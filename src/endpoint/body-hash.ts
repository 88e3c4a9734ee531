import { createHash } from 'node:crypto';

/** In one step, which takes about a millisecond. */
const STEP_BYTES = 512 * 1024;

/** SHA-256 of a body, step by step: 64 MB in one go would hold up everything else for tenths of a second. */
export class BodyHash {
  readonly #hash = createHash('sha256');
  readonly #pieces: readonly Uint8Array[];
  #piece = 0;
  #at = 0;
  #digest: string | null = null;

  constructor(body: Uint8Array | readonly Uint8Array[] | null) {
    this.#pieces = body === null ? [] : body instanceof Uint8Array ? [body] : body;
  }

  /** In lower-case hex digits; null: there are steps left. */
  get digest(): string | null {
    return this.#digest;
  }

  /** True: it is done. */
  step(): boolean {
    const piece = this.#pieces[this.#piece];
    if (piece === undefined) {
      this.#digest ??= this.#hash.digest('hex');
      return true;
    }
    this.#hash.update(piece.subarray(this.#at, this.#at + STEP_BYTES));
    this.#at += STEP_BYTES;
    if (this.#at >= piece.length) {
      this.#piece++;
      this.#at = 0;
    }
    return false;
  }
}
