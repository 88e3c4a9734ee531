import { createHash } from 'node:crypto';

/** Hashed in one step, which takes about a millisecond. */
const STEP_BYTES = 512 * 1024;

/** SHA-256 of a body, step by step: hashing 64 MB at once would block the event loop for tenths of a second. */
export class BodyHash {
  readonly #hash = createHash('sha256');
  readonly #pieces: readonly Uint8Array[];
  #piece = 0;
  #at = 0;
  #digest: string | null = null;

  constructor(body: Uint8Array | readonly Uint8Array[] | null) {
    this.#pieces = body === null ? [] : body instanceof Uint8Array ? [body] : body;
  }

  /** In lower-case hex digits; null: not finished. */
  get digest(): string | null {
    return this.#digest;
  }

  /** True: finished. */
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
