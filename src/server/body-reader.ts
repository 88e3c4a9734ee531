import type { BodyGate } from './exchange.ts';

const noBytes = new Uint8Array(0);

/** Collects a body; one that came in one piece is not copied. */
export class BodyReader {
  readonly #gate: BodyGate;
  readonly #resolve: (bytes: Uint8Array) => void;
  readonly #reject: (error: unknown) => void;
  #first: Uint8Array | null = null;
  #more: Uint8Array[] | null = null;

  constructor(gate: BodyGate, resolve: (bytes: Uint8Array) => void, reject: (error: unknown) => void) {
    this.#gate = gate;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** False: refused; nothing more is wanted. */
  take(chunk: Uint8Array): boolean {
    try {
      this.#gate.accept(chunk.length);
    } catch (error) {
      this.#reject(error);
      return false;
    }
    if (this.#first === null) this.#first = chunk;
    else (this.#more ??= [this.#first]).push(chunk);
    return true;
  }

  finish(): void {
    this.#resolve(this.#more === null ? (this.#first ?? noBytes) : Buffer.concat(this.#more));
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}
