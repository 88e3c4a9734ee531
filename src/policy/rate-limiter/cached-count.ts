/**
 * Whether a provider's token limits count input that it has cached. Its preset may know; else it counts, until what it tells of its
 * limits says otherwise: our count of what remains is then put right again and again, by about as much as was cached. The same in the
 * other direction, or a refusal, takes that back.
 */

/** So much of a limit must have been cached, in so many answers, before there is a word on it. */
const CACHED_SHARE = 0.1;
const ANSWERS_MIN = 4;
/** Of what was cached so much must have been put right. */
const EXPLAINED = 0.5;
/** What was wrong before needs twice as much the next time, up to so many times. */
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

  /** An answer has come to its end: so much of its input was cached. `limit`: of the tokens that it is counted in; 0: none is known. */
  used(cachedTokens: number, limit: number): void {
    if (cachedTokens <= 0 || limit <= 0) return;
    this.#cached += cachedTokens;
    this.#answers++;
    if (this.#answers < ANSWERS_MIN || this.#cached < CACHED_SHARE * limit * 2 ** this.#wrongs) return;
    const explained = this.#corrected / this.#cached;
    if (this.#counts ? explained > EXPLAINED : explained < -EXPLAINED) this.#counts = !this.#counts;
    this.#clear();
  }

  /** The provider said that so much more remains than we thought; below zero: less. */
  corrected(tokens: number): void {
    this.#corrected += tokens;
  }

  /** It refused a call for which there should have been room. */
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
