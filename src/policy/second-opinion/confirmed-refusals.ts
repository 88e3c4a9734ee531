/**
 * Refusals of a target that no rule covers, by their signature. A refusal that a second target has confirmed counts as the caller's error
 * for ten minutes, without another opinion. One in fifty consecutive refusals still gets a second opinion, so that a target that
 * starts to refuse everything in the same words does not keep its callers from a healthy one.
 */
import type { Instant } from '../../core/clock.ts';

/** How long a confirmed refusal counts as the caller's error, in milliseconds. */
export const CONFIRMED_HOLDS_MS = 600_000;
/** Each signature is logged at most once in this time, in milliseconds. */
export const LOGGED_EVERY_MS = 600_000;
export const SIGNATURES_MAX = 64;
const SECOND_OPINION_EVERY = 50;

export class ConfirmedRefusals {
  readonly #confirmed = new Map<string, Instant>();
  readonly #logged = new Map<string, Instant>();
  #consecutive = 0;

  /** A second target has refused the request, too. */
  confirm(now: Instant, signature: string): void {
    put(this.#confirmed, signature, now);
  }

  isCallerError(now: Instant, signature: string): boolean {
    if (now - (this.#confirmed.get(signature) ?? -Infinity) >= CONFIRMED_HOLDS_MS) return false;
    return ++this.#consecutive % SECOND_OPINION_EVERY !== 0;
  }

  /** The target has served a request. */
  responded(): void {
    this.#consecutive = 0;
  }

  /** True if the signature has not been logged within `LOGGED_EVERY_MS`; records that it is logged now. */
  shouldLog(now: Instant, signature: string): boolean {
    if (now - (this.#logged.get(signature) ?? -Infinity) < LOGGED_EVERY_MS) return false;
    put(this.#logged, signature, now);
    return true;
  }
}

function put(map: Map<string, Instant>, signature: string, now: Instant): void {
  map.delete(signature);
  if (map.size >= SIGNATURES_MAX) map.delete(map.keys().next().value!);
  map.set(signature, now);
}
