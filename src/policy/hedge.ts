/**
 * When a second attempt beside a silent first one is worth its cost (docs/hedging.md). A hedge spends calls to save time; a rescue replaces
 * a call that may hang. Each kind has a budget of its own. A silent half-open probe is raced regardless of any budget.
 */

/** `p50` to `p99` of the observed times to first content of a target. */
export type HedgeQuantile = `p${number}`;

/** The least silence after which a probe is raced, in milliseconds. */
const PROBE_SILENCE_MIN_MS = 1000;
const PROBE_SILENCE_FACTOR = 2;

/** The time to first content at a quantile, in milliseconds; null: too few observations of such calls. */
export type KnownLatency = (quantile: number) => number | null;

/** The silence after which a hedge starts, in milliseconds from the start of the attempt; null: unknown. */
export function hedgeDelayMs(delay: number | HedgeQuantile, latencyMs: KnownLatency): number | null {
  return typeof delay === 'number' ? delay : latencyMs(Number(delay.slice(1)) / 100);
}

/** The silence after which a half-open probe is raced, in milliseconds from its start; null: unknown. */
export function probeRaceDelayMs(latencyMs: KnownLatency): number | null {
  const p95 = latencyMs(0.95);
  return p95 === null ? null : Math.max(PROBE_SILENCE_MIN_MS, PROBE_SILENCE_FACTOR * p95);
}

/** The most hedges that can accumulate, so that a quiet hour does not end in a burst. */
const SAVED_MAX = 10;

/** For sums of floats: twenty times 0.05 is a whole hedge. */
const EPSILON = 1e-9;

/**
 * The hedges for one target, as a share of the requests that called it first: each request adds its share, each hedge takes one. The budget
 * starts empty, so the number of hedges never exceeds that share of all requests.
 */
export class HedgeBudget {
  #saved = 0;

  /** A request calls this target first. `share`: hedges per request, from 0 to 1. */
  earn(share: number): void {
    this.#saved = Math.min(SAVED_MAX, this.#saved + share);
  }

  /** True if one more hedge is within the budget. */
  get allows(): boolean {
    return this.#saved >= 1 - EPSILON;
  }

  /** Takes one hedge; call only where `allows` is true. */
  take(): void {
    this.#saved = Math.max(0, this.#saved - 1);
  }
}

/** Rescues per call to the silent target. */
const RESCUE_SHARE = 0.05;

/**
 * The rescues for one target: a share of its calls, but always one at a time, so that a single hung call is always rescued. The budget
 * protects a target that is merely slow. A target whose silent call lost against its rescue, and that has not responded since, is hung
 * rather than slow: its other silent calls are rescued without a budget.
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

  /** A rescue is decided or closed. */
  end(): void {
    this.#running--;
  }

  /** A silent call of the target lost against its rescue. */
  noteLost(): void {
    this.#isHung = true;
  }

  /** The target has responded to a call. */
  noteResponse(): void {
    this.#isHung = false;
  }
}
