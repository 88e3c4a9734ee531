/**
 * Items of one lane that fail with an internal error of the provider again and again, while others of it succeed. The fault is the
 * request's: an outage has other words (502, 503, 504, 529, no connection) and meets the others too.
 */
import type { Instant } from '../core/clock.ts';

const FAILURES_MIN = 6;
const SPAN_MIN_MS = 20_000;
/** A success so long before a failure shows that the model works, in milliseconds. */
export const WITNESS_MS = 30_000;
/** So many are remembered; the one that began to fail first is forgotten. */
const ITEMS_MAX = 1_000;

export class FailingItems {
  readonly #items = new Map<number, { failures: number; readonly since: Instant }>();

  /** `succeededAt`: when another item last succeeded. True: the request is to blame. */
  failed(n: number, now: Instant, succeededAt: Instant): boolean {
    let item = this.#items.get(n);
    if (item === undefined) {
      if (this.#items.size >= ITEMS_MAX) this.#items.delete(this.#items.keys().next().value!);
      this.#items.set(n, (item = { failures: 0, since: now }));
    }
    item.failures++;
    return item.failures >= FAILURES_MIN && now - item.since >= SPAN_MIN_MS && succeededAt >= item.since - WITNESS_MS;
  }

  forget(n: number): void {
    this.#items.delete(n);
  }
}
