/**
 * Whether a provider's token limits count cached input. A preset may state it; otherwise it counts until advertised amounts disagree: the
 * level is then corrected again and again by about the cached amount. The same in the other direction, or a refusal, reverts it. It earns
 * 105 % instead of 14 % of the token limit of a provider that does not count cached input (`mixture.test.ts`).
 */

/** The share of a limit that must have been cached, in at least this many responses, before it is decided. */
const CACHED_SHARE = 0.1;
const ANSWERS_MIN = 4;
/** The share of the cached amount that corrections must explain. */
const EXPLAINED = 0.5;
/** After a wrong decision the next needs twice as much, up to this many doublings. */
const DOUBLINGS_MAX = 6;

export class CachedCount {
  readonly #preset: boolean;
  #counts: boolean;
  #cached = 0;
  #answers = 0;
  #corrected = 0;
  #wrongs = 0;

  constructor(counts: boolean) {
    this.#preset = counts;
    this.#counts = counts;
  }

  get counts(): boolean {
    return this.#counts;
  }

  /** A response has ended. `limit`: of the tokens that it counts in; 0: unknown. */
  used(cachedTokens: number, limit: number): void {
    if (cachedTokens <= 0 || limit <= 0) return;
    this.#cached += cachedTokens;
    this.#answers++;
    if (this.#answers < ANSWERS_MIN || this.#cached < CACHED_SHARE * limit * 2 ** this.#wrongs) return;
    const explained = this.#corrected / this.#cached;
    if (this.#counts ? explained > EXPLAINED : explained < -EXPLAINED) this.#counts = !this.#counts;
    this.#clear();
  }

  /** The provider reported this much more remaining than known; below zero: less. */
  corrected(tokens: number): void {
    this.#corrected += tokens;
  }

  /** The provider refused a call for which there should have been room. */
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
    this.#answers = 0;
    this.#corrected = 0;
  }
}
