/** An advertised limit as instances send it to each other, and which reports are worth a message. */
import type { Instant } from '../../core/clock.ts';

/** What a token limit counts; `all` for request limits. */
export type CountedAs = 'all' | 'input' | 'output';

/** A limit, with what the provider last reported of it. */
export interface SharedLimit {
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  readonly limit: number;
  /** As of `AdvertisedLimit`. */
  readonly isGuess: boolean;
  /** Null: never reported. */
  readonly remaining: number | null;
  /** Age of the report: since the start of its call, and since its response. */
  readonly startedAgoMs: number;
  readonly agoMs: number;
}

/** A limit of the rate with this id. */
export interface RateLimit extends SharedLimit {
  readonly rate: string;
}

/** Others are informed when this share of the limit is used beyond what they expect. */
const STEP_SHARE = 0.05;
/** The same where less than this share remains: there the next calls would be refused. */
const LITTLE_SHARE = 0.1;
const LITTLE_STEP_SHARE = 0.02;
/** A limit that is still reported is confirmed to the others this often, so that they do not drop it. */
const CONFIRM_MS = 5 * 60_000;

/** What the other instances expect to remain of a limit: the last report that was sent or received, and the refill since. */
export class SharedView {
  readonly #limit: number;
  readonly #ratePerMs: number;
  #remaining = Infinity;
  #at: Instant = -Infinity;
  #notedAt: Instant = -Infinity;

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#ratePerMs = limit / windowMs;
  }

  /** True if the others do not know the limit, or expect noticeably more of it. Less is no news: a higher amount raises nothing. */
  isNews(now: Instant, remaining: number): boolean {
    if (now - this.#notedAt > CONFIRM_MS) return true;
    const step = remaining < LITTLE_SHARE * this.#limit ? LITTLE_STEP_SHARE : STEP_SHARE;
    return remaining < this.#expected(now) - step * this.#limit;
  }

  /** All instances have this report, which is as old as `at`. */
  note(now: Instant, at: Instant, remaining: number): void {
    this.#notedAt = now;
    if (remaining + (now - at) * this.#ratePerMs >= this.#expected(now)) return;
    this.#remaining = remaining;
    this.#at = at;
  }

  #expected(now: Instant): number {
    return this.#remaining === Infinity ? this.#limit : Math.min(this.#limit, this.#remaining + (now - this.#at) * this.#ratePerMs);
  }
}
