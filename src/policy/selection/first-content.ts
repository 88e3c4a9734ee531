/**
 * The expected time to first content of a target, for each kind of call: the basis of the choice within a tier.
 *
 * It is a moving average that rises fast and falls slowly, so that a target that becomes slow loses traffic at once. Running calls count
 * too, by their age, because a target that hangs produces no responses to measure. Measurements decay, so that a target is not avoided for
 * a past that is over.
 */
import type { Instant } from '../../core/clock.ts';

/** The weight of a new response in the average, where it is slower and where it is faster. */
const WEIGHT_OF_SLOWER = 0.3;
const WEIGHT_OF_FASTER = 0.1;
/** Fewer responses are no estimate. */
const LEARNED_AFTER = 5;
/** Measurements decay to a third in this time, in milliseconds. */
const DECAY_MS = 60_000;
/** A single call may be slow for reasons of its own; this many must be waiting before their age counts. */
const WAITING_MIN = 2;

interface Kind {
  averageMs: number;
  responses: number;
  measuredAt: Instant;
  /** Calls without content so far, and the sum of their starts. */
  waiting: number;
  beganSum: number;
}

export class FirstContentEstimate {
  /** By kind of call; kinds are small integers. */
  readonly #kinds: (Kind | undefined)[] = [];

  /** A call starts. It ends exactly once, with `responded` or `gaveUp`. */
  began(kind: number, now: Instant): void {
    const known = (this.#kinds[kind] ??= { averageMs: 0, responses: 0, measuredAt: now, waiting: 0, beganSum: 0 });
    known.waiting++;
    known.beganSum += now;
  }

  /** The first content has come, or the whole of a non-streaming response. */
  responded(kind: number, now: Instant, beganAt: Instant): void {
    const known = this.#leave(kind, beganAt);
    learn(known, now, now - beganAt);
  }

  /** The call ended without content. Silence beyond the average is still recorded. */
  gaveUp(kind: number, now: Instant, beganAt: Instant): void {
    const known = this.#leave(kind, beganAt);
    if (now - beganAt > known.averageMs) learn(known, now, now - beganAt);
  }

  /** In milliseconds; null: too few responses. */
  expectedMs(kind: number, now: Instant): number | null {
    const known = this.#kinds[kind];
    if (known === undefined || known.responses < LEARNED_AFTER) return null;
    const decayedMs = known.averageMs * Math.exp((known.measuredAt - now) / DECAY_MS);
    return known.waiting < WAITING_MIN ? decayedMs : Math.max(decayedMs, now - known.beganSum / known.waiting);
  }

  #leave(kind: number, beganAt: Instant): Kind {
    const known = this.#kinds[kind]!;
    known.waiting--;
    known.beganSum = known.waiting === 0 ? 0 : known.beganSum - beganAt;
    return known;
  }
}

function learn(known: Kind, now: Instant, silenceMs: number): void {
  known.measuredAt = now;
  known.responses++;
  const weight = Math.max(1 / known.responses, silenceMs > known.averageMs ? WEIGHT_OF_SLOWER : WEIGHT_OF_FASTER);
  known.averageMs += weight * (silenceMs - known.averageMs);
}
