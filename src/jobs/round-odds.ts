/**
 * How many failed rounds of an item show that its request is at fault.
 *
 * Where a share of all rounds fails at random, some of many items fail several times in a row without being at fault. So an item may end as
 * failed only if so many failures by chance are very unlikely at that share. Two figures estimate it, and the lower one counts: the failures
 * among first rounds, which is too high if many requests are at fault, and the failures of items that succeeded in the end, which is too high
 * while retried items make up most of the rest.
 */

/** The accepted probability that a request is ended as failed by chance alone. */
const CHANCE_MAX = 1e-6;
/** Bounds of the number of failed rounds while others succeed. */
export const STRIKES_MIN = 3;
export const STRIKES_MAX = 16;
/** Calls that failed with an internal error: about two for each round, and at least this many. */
const CALLS_MIN = 6;
/** What is assumed before anything is known: five in a hundred rounds fail, with the weight of two rounds. */
const [ASSUMED_FAILED, ASSUMED] = [0.1, 2];
/** Rounds that count; beyond it older ones lose weight. */
const REMEMBERED_MAX = 2_000;

export class RoundOdds {
  readonly #first = new FailedShare();
  readonly #healed = new FailedShare();

  /** The first round of an item has ended. */
  firstEnded(hasFailed: boolean): void {
    this.#first.add(hasFailed ? 1 : 0, hasFailed ? 0 : 1);
  }

  /** `strikes`: how often the item had failed before while others succeeded. */
  succeeded(strikes: number): void {
    this.#healed.add(strikes, 1);
  }

  /** The number of failed rounds, each while others succeeded, from which on the request is at fault. */
  get strikesNeeded(): number {
    const share = Math.min(this.#first.value, this.#healed.value);
    const needed = Math.ceil(Math.log(CHANCE_MAX) / Math.log(share));
    return Math.min(Math.max(needed, STRIKES_MIN), STRIKES_MAX);
  }

  /** The same for calls with an internal error. */
  get callsNeeded(): number {
    return Math.max(CALLS_MIN, 2 * (this.strikesNeeded - 1));
  }
}

class FailedShare {
  #failed = ASSUMED_FAILED;
  #all = ASSUMED;

  get value(): number {
    return this.#failed / this.#all;
  }

  add(failed: number, succeeded: number): void {
    this.#failed += failed;
    this.#all += failed + succeeded;
    if (this.#all <= REMEMBERED_MAX) return;
    this.#failed /= 2;
    this.#all /= 2;
  }
}
