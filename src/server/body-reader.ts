import { ChunkList } from '../core/chunk-list.ts';
import type { BodyGate, ReceivedBody } from './exchange.ts';

const noBytes = new Uint8Array(0);

/** A larger body stays in chunks, and is joined and parsed in slices, in bytes. */
export const JOINED_BYTES_MAX = 256 * 1024;

/** Joins the chunks of a small body. */
export function joinSmall(pieces: readonly Uint8Array[], bytes: number): ReceivedBody {
  if (pieces.length <= 1) return pieces[0] ?? noBytes;
  return bytes > JOINED_BYTES_MAX ? pieces : Buffer.concat(pieces, bytes);
}

/** Collects a body; a body of one chunk is not copied. */
export class BodyReader {
  readonly #gate: BodyGate;
  readonly #resolve: (body: ReceivedBody) => void;
  readonly #reject: (error: unknown) => void;
  #first: Uint8Array | null = null;
  #more: ChunkList | null = null;

  constructor(gate: BodyGate, resolve: (body: ReceivedBody) => void, reject: (error: unknown) => void) {
    this.#gate = gate;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** False: the body was refused, and the rest is not read. */
  take(chunk: Uint8Array): boolean {
    try {
      this.#gate.accept(chunk.length);
    } catch (error) {
      this.#reject(error);
      return false;
    }
    if (this.#first === null) {
      this.#first = chunk;
      return true;
    }
    if (this.#more === null) {
      this.#more = new ChunkList();
      this.#more.add(this.#first);
    }
    this.#more.add(chunk);
    return true;
  }

  finish(): void {
    if (this.#more === null) return this.#resolve(this.#first ?? noBytes);
    const { bytes } = this.#more;
    this.#resolve(joinSmall(this.#more.take(), bytes));
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}
