/**
 * When a second attempt beside a silent first one is worth its cost (docs/hedging.md). A hedge buys time with calls, and a rescue may
 * find a healthy call, so each is bounded by a budget of its own; a probe that is silent for too long is raced whatever the budget.
 */

/** `p50` to `p99`: of what a target has shown of its silence before first content. */
export type HedgeQuantile = `p${number}`;

/** A probe is not raced before it has been silent for so long, in milliseconds. */
const PROBE_SILENCE_MIN_MS = 1000;
const PROBE_SILENCE_FACTOR = 2;

/** What a target has shown, in milliseconds, by quantile; null: too little is known of calls like this one. */
export type KnownLatency = (quantile: number) => number | null;

/** The silence after which a hedge starts, in milliseconds from the start of the attempt; null: nobody can say. */
export function hedgeDelayMs(delay: number | HedgeQuantile, latencyMs: KnownLatency): number | null {
  return typeof delay === 'number' ? delay : latencyMs(Number(delay.slice(1)) / 100);
}

/** The silence after which a half-open probe is raced, in milliseconds from its start; null: nobody can say. */
export function probeRaceDelayMs(latencyMs: KnownLatency): number | null {
  const p95 = latencyMs(0.95);
  return p95 === null ? null : Math.max(PROBE_SILENCE_MIN_MS, PROBE_SILENCE_FACTOR * p95);
}

/** Hedges that can be saved up: a quiet hour must not end in a burst of them. */
const SAVED_MAX = 10;

/** Sums of floats: twenty times 0.05 is a whole hedge. */
const EPSILON = 1e-9;

/**
 * Hedges on account of one target, as a share of the requests that it was the first to be asked for: each earns its share, each hedge
 * costs a whole one. It begins with nothing, so at any time no more were made than their share of all requests.
 */
export class HedgeBudget {
  #saved = 0;

  /** A request has asked this target first. `share`: hedges for each request, from 0 to 1. */
  earn(share: number): void {
    this.#saved = Math.min(SAVED_MAX, this.#saved + share);
  }

  /** True if one more hedge is within the budget. */
  get allows(): boolean {
    return this.#saved >= 1 - EPSILON;
  }

  /** Takes one hedge; the caller has asked `allows`. */
  take(): void {
    this.#saved = Math.max(0, this.#saved - 1);
  }
}

/** Rescues for each call that the silent target gets. */
const RESCUE_SHARE = 0.05;

/**
 * Rescues on account of one target: a share of its calls, and one at a time in any case, so that a single hung call is always rescued.
 * A budget protects a target that is merely slow. One whose silent call lost against another target, and that has answered nothing
 * since, is not slow but hung: whatever else it leaves unanswered beyond its limit is rescued without a budget.
 */
export class RescueBudget {
  readonly #share = new HedgeBudget();
  #running = 0;
  #isHung = false;

  /** The target gets a call. */
  earn(): void {
    this.#share.earn(RESCUE_SHARE);
  }

  /** True if one more rescue may start. */
  get allows(): boolean {
    return this.#isHung || this.#running === 0 || this.#share.allows;
  }

  /** A rescue starts. */
  take(): void {
    this.#running++;
    this.#share.take();
  }

  /** A rescue that was taken is decided, or closed. */
  end(): void {
    this.#running--;
  }

  /** A silent call of the target lost against its rescue. */
  noteLost(): void {
    this.#isHung = true;
  }

  /** The target has answered a call. */
  noteResponse(): void {
    this.#isHung = false;
  }
}
