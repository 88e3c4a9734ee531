/**
 * How long a target may be expected to be silent before its first content, for each kind of call: what choosing within a tier goes by.
 *
 * A moving average that rises fast and falls slowly, so that a target which has just become slow is left alone at once. What it has
 * not answered yet counts too: a target that has fallen silent gives no answers to learn from, but the calls that wait at it grow
 * old. What was measured fades, so that nobody is avoided for ever for what it once was.
 */
import type { Instant } from '../../core/clock.ts';

/** Share of the newest answer in the average, where it is slower and where it is faster. */
const WEIGHT_OF_SLOWER = 0.3;
const WEIGHT_OF_FASTER = 0.1;
/** Fewer answers say nothing. */
const LEARNED_AFTER = 5;
/** What was measured loses all but a third of its weight in this time, in milliseconds. */
const FADES_IN_MS = 60_000;
/** A single call may be slow for reasons of its own: so many have to wait before their age counts. */
const WAITING_MIN = 2;

interface Kind {
  averageMs: number;
  answers: number;
  measuredAt: Instant;
  /** Calls that have no content yet, and the sum of the instants at which they began. */
  waiting: number;
  beganSum: number;
}

export class FirstContentEstimate {
  /** By kind of call; kinds are small numbers. */
  readonly #kinds: (Kind | undefined)[] = [];

  /** A call begins. It ends exactly once, with `answered` or `gaveUp`. */
  began(kind: number, now: Instant): void {
    const known = (this.#kinds[kind] ??= { averageMs: 0, answers: 0, measuredAt: now, waiting: 0, beganSum: 0 });
    known.waiting++;
    known.beganSum += now;
  }

  /** Its first content has come, or the whole of a plain answer. */
  answered(kind: number, now: Instant, beganAt: Instant): void {
    const known = this.#leave(kind, beganAt);
    learn(known, now, now - beganAt);
  }

  /** It ended without content. If its silence was longer than what is expected, that was learned all the same. */
  gaveUp(kind: number, now: Instant, beganAt: Instant): void {
    const known = this.#leave(kind, beganAt);
    if (now - beganAt > known.averageMs) learn(known, now, now - beganAt);
  }

  /** In milliseconds; null while too little is known. */
  expectedMs(kind: number, now: Instant): number | null {
    const known = this.#kinds[kind];
    if (known === undefined || known.answers < LEARNED_AFTER) return null;
    const measuredMs = known.averageMs * Math.exp((known.measuredAt - now) / FADES_IN_MS);
    return known.waiting < WAITING_MIN ? measuredMs : Math.max(measuredMs, now - known.beganSum / known.waiting);
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
  known.answers++;
  const weight = Math.max(1 / known.answers, silenceMs > known.averageMs ? WEIGHT_OF_SLOWER : WEIGHT_OF_FASTER);
  known.averageMs += weight * (silenceMs - known.averageMs);
}
