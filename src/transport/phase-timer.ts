import type { Clock, Instant, Timer } from '../core/clock.ts';

/**
 * The limit of the phase that runs: an instant, and what passing it means.
 * - `timeout`: the answer has failed
 * - `silence`: its owner decides what to do, and the answer goes on
 */
export interface PhaseLimit {
  readonly at: Instant;
  readonly kind: 'timeout' | 'silence';
}

/** What is watched: an answer that comes, or not. */
export interface TimedPhase {
  limitAt(now: Instant): PhaseLimit;
  /** The limit has passed. */
  onLimit(kind: PhaseLimit['kind']): void;
}

/**
 * One timer for all the timeouts of an attempt, which no byte and no change of phase has to touch: it looks at least
 * once in every `tickMs`, and no limit is shorter than that, so a limit that began since the last look can't have
 * passed before the next one.
 */
export class PhaseTimer {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #watched: TimedPhase;
  #timer: Timer | null = null;
  #isStopped = false;

  /** `tickMs`: the shortest of all the limits that `watched` can ever tell, counted from the start of their phase. */
  constructor(clock: Clock, tickMs: number, watched: TimedPhase) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#watched = watched;
    const now = clock.now();
    this.#sleep(now, watched.limitAt(now));
  }

  /** For good. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #look(): void {
    this.#timer = null;
    const now = this.#clock.now();
    const limit = this.#watched.limitAt(now);
    if (limit.at > now) return this.#sleep(now, limit);
    this.#watched.onLimit(limit.kind);
    if (limit.kind === 'silence' && !this.#isStopped) this.#sleep(now, this.#watched.limitAt(now));
  }

  #sleep(now: Instant, limit: PhaseLimit): void {
    this.#timer = this.#clock.schedule(Math.max(0, Math.min(limit.at - now, this.#tickMs)), () => this.#look());
  }
}
