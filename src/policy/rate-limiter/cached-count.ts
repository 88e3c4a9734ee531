/**
 * Whether a provider's token limits count cached input. A preset may say so. Otherwise cached input counts until the reported remaining
 * amounts contradict it: they are then repeatedly higher than expected, by about the cached amount. The reverse evidence, or a refusal,
 * reverts the decision.
 *
 * Measured at a provider that does not count cached input: 105 % of the token limit is used with this, 14 % without (`mixture.test.ts`).
 */

/** The share of a limit that must have been cached, in at least this many responses, before a decision. */
const CACHED_SHARE = 0.1;
const RESPONSES_MIN = 4;
/** The share of the cached amount that corrections must account for. */
const EXPLAINED = 0.5;
/** After each wrong decision the next one needs twice as much, up to this many doublings. */
const DOUBLINGS_MAX = 6;

export class CachedCount {
  readonly #preset: boolean;
  #counts: boolean;
  #cached = 0;
  #responses = 0;
  #corrected = 0;
  #wrongs = 0;

  constructor(counts: boolean) {
    this.#preset = counts;
    this.#counts = counts;
  }

  get counts(): boolean {
    return this.#counts;
  }

  /** A response has ended. `limit`: of the tokens that the cached ones belong to; 0: unknown. */
  used(cachedTokens: number, limit: number): void {
    if (cachedTokens <= 0 || limit <= 0) return;
    this.#cached += cachedTokens;
    this.#responses++;
    if (this.#responses < RESPONSES_MIN || this.#cached < CACHED_SHARE * limit * 2 ** this.#wrongs) return;
    const explained = this.#corrected / this.#cached;
    if (this.#counts ? explained > EXPLAINED : explained < -EXPLAINED) this.#counts = !this.#counts;
    this.#clear();
  }

  /** The provider reported this much more remaining than expected; negative: less. */
  corrected(tokens: number): void {
    this.#corrected += tokens;
  }

  /** The provider refused a call that its limit should have allowed. */
  refused(): void {
    if (this.#counts || !this.#preset) return;
    this.#counts = true;
    this.#wrongs = Math.min(DOUBLINGS_MAX, this.#wrongs + 1);
    this.#clear();
  }

  reset(): void {
    this.restore(this.#preset);
    this.#wrongs = 0;
  }

  restore(counts: boolean): void {
    this.#counts = counts;
    this.#clear();
  }

  #clear(): void {
    this.#cached = 0;
    this.#responses = 0;
    this.#corrected = 0;
  }
}
