import type { Clock, Instant, Timer } from '../core/clock.ts';

/**
 * The limit of the current phase: an instant, and what happens at it.
 * - `timeout`: the response fails
 * - `silence`: the owner decides what to do; the response continues
 */
export interface PhaseLimit {
  readonly at: Instant;
  readonly kind: 'timeout' | 'silence';
}

/** A response whose current phase has a limit. */
export interface TimedPhase {
  limitAt(now: Instant): PhaseLimit;
  /** The limit was reached. */
  onLimit(kind: PhaseLimit['kind']): void;
}

/**
 * One timer for all timeouts of an attempt. Neither bytes nor changes of phase reset it: it fires at least once in `tickMs`, and no limit
 * is shorter, so a limit that began since the last tick cannot be reached before the next one.
 */
export class PhaseTimer {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #phase: TimedPhase;
  #timer: Timer | null = null;
  #isStopped = false;

  /** `tickMs`: the shortest limit that `phase` can return, counted from the start of its phase. */
  constructor(clock: Clock, tickMs: number, phase: TimedPhase, now: Instant) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#phase = phase;
    this.#sleep(now, phase.limitAt(now));
  }

  /** Permanently. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tick(): void {
    this.#timer = null;
    const now = this.#clock.now();
    const limit = this.#phase.limitAt(now);
    if (limit.at > now) return this.#sleep(now, limit);
    this.#phase.onLimit(limit.kind);
    if (limit.kind === 'silence' && !this.#isStopped) this.#sleep(now, this.#phase.limitAt(now));
  }

  #sleep(now: Instant, limit: PhaseLimit): void {
    this.#timer = this.#clock.schedule(Math.max(0, Math.min(limit.at - now, this.#tickMs)), () => this.#tick());
  }
}
