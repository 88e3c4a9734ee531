/**
 * Refusals of a target that no rule knows, by their signature: those that a second target has confirmed are the caller's own for ten
 * minutes, and need no further opinion. One of fifty in a row gets one all the same, so that a target that begins to refuse everything
 * in the same words can't hold its callers back from a healthy one.
 */
import type { Instant } from '../../core/clock.ts';

/** How long a confirmed refusal is the caller's, in milliseconds. */
export const CONFIRMED_HOLDS_MS = 600_000;
/** A refusal is logged once in this time, in milliseconds. */
export const LOGGED_EVERY_MS = 600_000;
export const SIGNATURES_MAX = 64;
const ASK_AGAIN_AT = 50;

export class ConfirmedRefusals {
  readonly #confirmed = new Map<string, Instant>();
  readonly #told = new Map<string, Instant>();
  #inARow = 0;

  /** A second target refused the request too. */
  confirm(now: Instant, signature: string): void {
    put(this.#confirmed, signature, now);
  }

  isCallers(now: Instant, signature: string): boolean {
    if (now - (this.#confirmed.get(signature) ?? -Infinity) >= CONFIRMED_HOLDS_MS) return false;
    return ++this.#inARow % ASK_AGAIN_AT !== 0;
  }

  /** The target answered a request. */
  answered(): void {
    this.#inARow = 0;
  }

  /** True if it has not been logged within `LOGGED_EVERY_MS`. */
  isNews(now: Instant, signature: string): boolean {
    if (now - (this.#told.get(signature) ?? -Infinity) < LOGGED_EVERY_MS) return false;
    put(this.#told, signature, now);
    return true;
  }
}

function put(map: Map<string, Instant>, signature: string, now: Instant): void {
  map.delete(signature);
  if (map.size >= SIGNATURES_MAX) map.delete(map.keys().next().value!);
  map.set(signature, now);
}
