const WEIGHT_OF_NEWEST = 0.1;
/** A target never loses all its weight: what is never asked can never recover. */
const HEALTH_MIN = 0.05;

/** The recent share of successes of a target, as a moving average over its last attempts. */
export class Health {
  #value = 1;

  get value(): number {
    return Math.max(HEALTH_MIN, this.#value);
  }

  record(success: boolean): void {
    this.#value += WEIGHT_OF_NEWEST * ((success ? 1 : 0) - this.#value);
  }

  reset(): void {
    this.#value = 1;
  }
}
