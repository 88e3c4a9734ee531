import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { Phase } from '../core/facts.ts';

/** The limit of the phase that runs: an instant, and what passing it means. */
export interface WatchLimit {
  readonly at: Instant;
  readonly kind: 'timeout' | 'slow';
}

/** What did not come in time, by phase. */
export const MISSING: Readonly<Record<Phase, string>> = {
  connect: 'no connection',
  headers: 'no response headers',
  first_content: 'no content',
  answer: 'no further content',
  committed: 'no further content',
};

/**
 * One timer for all the timeouts of an attempt, which no byte and no change of phase has to touch: it looks at least
 * once in every `tickMs`, and no limit is shorter than that, so a limit that began since the last look can't have
 * passed before the next one.
 */
export class AnswerWatch {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #limit: (now: Instant) => WatchLimit;
  readonly #onPassed: (kind: WatchLimit['kind']) => void;
  #timer: Timer | null = null;

  /** `tickMs`: the shortest of all the limits that `limit` can ever tell, counted from the start of their phase. */
  constructor(clock: Clock, tickMs: number, limit: (now: Instant) => WatchLimit, onPassed: (kind: WatchLimit['kind']) => void) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#limit = limit;
    this.#onPassed = onPassed;
    this.#sleep(clock.now());
  }

  /** For good. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    const now = this.#clock.now();
    const limit = this.#limit(now);
    if (limit.at <= now) this.#onPassed(limit.kind);
    else this.#sleep(now, limit);
  };

  #sleep(now: Instant, limit = this.#limit(now)): void {
    this.#timer = this.#clock.schedule(Math.max(0, Math.min(limit.at - now, this.#tickMs)), this.#look);
  }
}
