import { assert } from './assert.ts';

/** The bodies and answers that are in memory, in bytes, over all requests (`server.maxBufferedBytes`). */
export class HeldBytes {
  readonly #max: () => number;
  #held = 0;

  /** `max` is asked every time: it may change. */
  constructor(max: () => number) {
    this.#max = max;
  }

  get total(): number {
    return this.#held;
  }

  /** Nothing that could be refused is taken any more. */
  get isFull(): boolean {
    return this.#held >= this.#max();
  }

  /** False: there is no room, and nothing was counted. */
  tryHold(bytes: number): boolean {
    if (this.#held + bytes > this.#max()) return false;
    this.#held += bytes;
    return true;
  }

  /** For what is in memory already, whatever the limit. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    this.#held -= bytes;
    assert(this.#held >= 0, 'held bytes are given back once');
  }
}
