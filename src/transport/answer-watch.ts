import type { Clock, Instant, Timer } from '../core/clock.ts';

/** The parts of an attempt in which it may be silent, each with a limit of its own (design 4.5). */
export type WatchPhase = 'connect' | 'headers' | 'first_content' | 'idle';

/** The limit of the phase that runs: an instant, and what passing it means. */
export interface WatchLimit {
  readonly at: Instant;
  readonly kind: 'timeout' | 'slow';
  /** Look again at this instant at the latest: the limit itself may have become shorter. */
  readonly reviewAt: Instant;
}

/**
 * One timer for all the timeouts of an attempt. It is not moved with every byte: when it fires, the limit is asked
 * again, and only if that has really passed is the attempt over.
 */
export class AnswerWatch {
  readonly #clock: Clock;
  readonly #limit: () => WatchLimit;
  readonly #onPassed: (kind: WatchLimit['kind']) => void;
  #timer: Timer | null = null;
  #firesAt: Instant = Infinity;
  #stopped = false;

  constructor(clock: Clock, limit: () => WatchLimit, onPassed: (kind: WatchLimit['kind']) => void) {
    this.#clock = clock;
    this.#limit = limit;
    this.#onPassed = onPassed;
  }

  /** The limit may have come nearer: a phase has begun. */
  review(): void {
    if (this.#stopped) return;
    const limit = this.#limit();
    const next = Math.min(limit.at, limit.reviewAt);
    if (next >= this.#firesAt) return;
    this.#timer?.cancel();
    this.#arm(next);
  }

  /** For good: no phase begins after it. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#firesAt = Infinity;
  }

  #arm(at: Instant): void {
    this.#firesAt = at;
    this.#timer = at === Infinity ? null : this.#clock.schedule(at - this.#clock.now(), () => this.#fire());
  }

  #fire(): void {
    this.#timer = null;
    this.#firesAt = Infinity;
    const now = this.#clock.now();
    const limit = this.#limit();
    if (limit.at <= now) this.#onPassed(limit.kind);
    else this.#arm(Math.max(now + 1, Math.min(limit.at, limit.reviewAt)));
  }
}
