/**
 * Items of one lane that fail repeatedly with an internal error of the provider while others succeed. Then the request is at fault: an
 * outage has other statuses (502, 503, 504, 529, no connection) and affects the others too.
 */
import type { Instant } from '../core/clock.ts';

/** How many failures over how long show a fault. */
export interface FailureRule {
  readonly failuresMin: number;
  /** In milliseconds. */
  readonly spanMinMs: number;
}

/** For an item without others to compare it with. */
export const SINGLE_RULE: FailureRule = { failuresMin: 6, spanMinMs: 20_000 };
/** A success within this time before a failure shows that the model works, in milliseconds. */
export const WITNESS_MS = 30_000;
/** The most items tracked; beyond it the one that started to fail first is dropped. */
const ITEMS_MAX = 1_000;

export class FailingItems {
  readonly #items = new Map<number, { failures: number; readonly since: Instant }>();

  /** `succeededAt`: when another item last succeeded. Returns true if the request is at fault. */
  failed(n: number, now: Instant, succeededAt: Instant, { failuresMin, spanMinMs } = SINGLE_RULE): boolean {
    let item = this.#items.get(n);
    if (item === undefined) {
      if (this.#items.size >= ITEMS_MAX) this.#items.delete(this.#items.keys().next().value!);
      this.#items.set(n, (item = { failures: 0, since: now }));
    }
    item.failures++;
    return item.failures >= failuresMin && now - item.since >= spanMinMs && succeededAt >= item.since - WITNESS_MS;
  }

  forget(n: number): void {
    this.#items.delete(n);
  }
}
