/**
 * Blame needs a second witness: one source's failures say nothing of a target that serves others (docs/decisions/019).
 *
 * A source is a client and a request (its conversation or its body). For each of both that fails, a suspect keeps the failures in a row.
 * They count for everybody until they are contradicted: another client (or request) was answered meanwhile. From then on further ones
 * of the same row concern their source alone. With one source only nothing is ever contradicted, and everything counts.
 *
 * Suspects are bounded; successes cost two comparisons while there are none.
 */
import type { Instant } from './clock.ts';
import { BLAME_LEVELS } from './source.ts';
import type { BlameLevel, Source } from './source.ts';

/** Beyond this many the one that failed least recently is forgotten. */
const SUSPECTS_MAX = 32;
/** A suspect that has not failed for so long is forgotten, in milliseconds. */
const MEMORY_MS = 5 * 60_000;
/** Failures in a row of one source that count for everybody, whatever others see. */
const STREAK_COUNTED = 2;

const UNKNOWN: Source = { client: '', request: 0 };

/** `data`: what a policy keeps of it; gone with the suspect. */
export interface Suspect<T> {
  readonly level: BlameLevel;
  readonly key: string | number;
  /** Failures since it was last served. */
  streak: number;
  failedAt: Instant;
  /** Another source was answered since the row began. */
  contradicted: boolean;
  data: T | null;
}

/** The last two clients or requests that received an answer, and when. */
class Answered {
  #last: string | number | null = null;
  #lastAt: Instant = -Infinity;
  #otherAt: Instant = -Infinity;

  note(now: Instant, key: string | number): void {
    if (key !== this.#last) {
      this.#last = key;
      this.#otherAt = this.#lastAt;
    }
    this.#lastAt = now;
  }

  /** When a client (or request) other than `key` last received an answer. */
  besides(key: string | number): Instant {
    return key === this.#last ? this.#otherAt : this.#lastAt;
  }
}

export class Blame<T = never> {
  readonly #suspects: Suspect<T>[] = [];
  readonly #answered = { request: new Answered(), client: new Answered() };

  get suspects(): readonly Suspect<T>[] {
    return this.#suspects;
  }

  /** An answer to this source has begun. */
  began(now: Instant, source: Source = UNKNOWN): void {
    this.#answered.request.note(now, source.request);
    this.#answered.client.note(now, source.client);
    for (const suspect of this.#suspects) if (suspect.streak > 0 && !isOf(suspect, source)) suspect.contradicted = true;
  }

  /** An answer to this source has completed: its failures are cleared. */
  served(now: Instant, source: Source = UNKNOWN): void {
    this.began(now, source);
    for (let i = this.#suspects.length - 1; i >= 0; i--) {
      const suspect = this.#suspects[i]!;
      if (isOf(suspect, source)) resetSuspect(suspect);
      if (suspect.data === null && (suspect.streak === 0 || now - suspect.failedAt > MEMORY_MS)) this.#drop(i);
    }
  }

  /** Records a failure. False: it counts for its source only, because that has failed before while others are served. */
  failed(now: Instant, source: Source = UNKNOWN): boolean {
    const counts = !this.isSoleCause(source);
    for (const level of BLAME_LEVELS) {
      const suspect = this.suspectOf(now, level, source);
      suspect.streak++;
      suspect.failedAt = now;
    }
    return counts;
  }

  /** True if its next failure counts for this source only. */
  isSoleCause(source: Source = UNKNOWN): boolean {
    return this.soleCauseLevel(source) !== null;
  }

  /** At which level the failures count for the source only, the narrower one first; null: they count for all. */
  soleCauseLevel(source: Source = UNKNOWN): BlameLevel | null {
    if (this.#suspects.length === 0) return null;
    for (const level of BLAME_LEVELS) {
      const suspect = this.find(level, source);
      if (suspect?.contradicted === true && suspect.streak >= STREAK_COUNTED) return level;
    }
    return null;
  }

  /** Failures of its request or its client, whichever are more, since that was last served. */
  streakOf(source: Source = UNKNOWN): number {
    return Math.max(this.find('request', source)?.streak ?? 0, this.find('client', source)?.streak ?? 0);
  }

  /** A test has shown that others are served while this one fails. */
  confirmCause(now: Instant, level: BlameLevel, key: string | number): void {
    const suspect = this.#suspects.find((one) => one.level === level && one.key === key) ?? this.#add(now, level, key);
    suspect.streak = Math.max(STREAK_COUNTED, suspect.streak);
    suspect.contradicted = true;
  }

  /** Several sources fail: no source is treated as the only cause any more. */
  clearContradictions(): void {
    for (const suspect of this.#suspects) suspect.contradicted = false;
  }

  find(level: BlameLevel, source: Source = UNKNOWN): Suspect<T> | undefined {
    for (const suspect of this.#suspects) if (suspect.level === level && suspect.key === source[level]) return suspect;
    return undefined;
  }

  suspectOf(now: Instant, level: BlameLevel, source: Source = UNKNOWN): Suspect<T> {
    return this.find(level, source) ?? this.#add(now, level, source[level]);
  }

  /** True if another client (or request) received an answer within the last `withinMs`. */
  servesOthers(now: Instant, level: BlameLevel, key: string | number, withinMs: number): boolean {
    return now - this.#answered[level].besides(key) <= withinMs;
  }

  clear(): void {
    this.#suspects.length = 0;
  }

  #add(now: Instant, level: BlameLevel, key: string | number): Suspect<T> {
    if (this.#suspects.length >= SUSPECTS_MAX) {
      let oldest = 0;
      for (let i = 1; i < this.#suspects.length; i++) if (this.#suspects[i]!.failedAt < this.#suspects[oldest]!.failedAt) oldest = i;
      this.#drop(oldest);
    }
    const suspect: Suspect<T> = { level, key, streak: 0, failedAt: now, contradicted: false, data: null };
    this.#suspects.push(suspect);
    return suspect;
  }

  #drop(index: number): void {
    const last = this.#suspects.pop()!;
    if (index < this.#suspects.length) this.#suspects[index] = last;
  }
}

export function isOf(suspect: Pick<Suspect<unknown>, 'level' | 'key'>, source: Source = UNKNOWN): boolean {
  return source[suspect.level] === suspect.key;
}

/** False if it stands for requests without a source. */
export function isKnown({ level, key }: Pick<Suspect<unknown>, 'level' | 'key'>): boolean {
  return key !== UNKNOWN[level];
}

function resetSuspect(suspect: Suspect<unknown>): void {
  suspect.streak = 0;
  suspect.contradicted = false;
}
