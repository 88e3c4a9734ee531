import type { Instant } from '../../core/clock.ts';

/** The share of refusals is measured over about this long, and over at least this many calls. */
const RECENT_MS = 2_000;
const RECENT_CALLS = 30;
/**
 * Refusals are few up to this share, or up to this many times the known random share, plus this many times the square root of the calls.
 */
const FEW_SHARE = 0.2;
const FEW_TIMES = 2.5;
const FEW_DEVIATIONS = 0.5;
/** A refusal after this long without any may be the first of many. */
const QUIET_MS = 60_000;

/** Whether there are so many refusals that the target needs a pause, whatever their cause. */
export class RecentRefusals {
  #calls = 0;
  #refused = 0;
  #at: Instant = 0;
  #refusedAt: Instant = -Infinity;

  started(now: Instant): void {
    this.#decay(now);
    this.#calls++;
  }

  cancelled(): void {
    this.#calls = Math.max(0, this.#calls - 1);
  }

  /** Records a refusal. True: there are many. */
  refused(now: Instant, randomShare: number): boolean {
    this.#decay(now);
    this.#refused++;
    const isQuiet = now - this.#refusedAt > QUIET_MS;
    this.#refusedAt = now;
    const few = Math.max(FEW_SHARE, FEW_TIMES * randomShare) * this.#calls;
    return isQuiet || this.#refused > few + FEW_DEVIATIONS * Math.sqrt(this.#calls);
  }

  reset(): void {
    this.#calls = 0;
    this.#refused = 0;
    this.#refusedAt = -Infinity;
  }

  #decay(now: Instant): void {
    if (this.#calls > RECENT_CALLS) {
      const kept = Math.max(Math.exp(-Math.max(0, now - this.#at) / RECENT_MS), RECENT_CALLS / this.#calls);
      this.#calls *= kept;
      this.#refused *= kept;
    }
    this.#at = now;
  }
}
