/**
 * Decides whether failures count against a target for all sources or for one source only: the failures of one source are no evidence
 * against a target that serves others (docs/decisions/019).
 *
 * A source is a client and a request (its conversation or its body). For each client and request that fails, a suspect counts the
 * consecutive failures. They count for all sources until they are contradicted: another client (or request) received a response meanwhile.
 * After that, further consecutive failures count for their source only. With a single source nothing is contradicted, and every failure
 * counts.
 *
 * The number of suspects is bounded; while there are none, a success costs two comparisons.
 */
import type { Instant } from './clock.ts';
import { BLAME_LEVELS } from './source.ts';
import type { BlameLevel, Source } from './source.ts';

/** Beyond this number the suspect that failed least recently is removed. */
const SUSPECTS_MAX = 32;
/** A suspect without a failure for this time is removed, in milliseconds. */
const MEMORY_MS = 5 * 60_000;
/** Consecutive failures of one source that count for all sources in any case. */
const STREAK_COUNTED = 2;

const UNKNOWN: Source = { client: '', request: 0 };

/** `data`: state of a policy; removed with the suspect. */
export interface Suspect<T> {
  readonly level: BlameLevel;
  readonly key: string | number;
  /** Failures since its last success. */
  streak: number;
  failedAt: Instant;
  /** Another source received a response since the first of these failures. */
  contradicted: boolean;
  data: T | null;
}

/** The last two clients or requests that received a response, and when. */
class LastServed {
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

  /** When a client (or request) other than `key` last received a response. */
  besides(key: string | number): Instant {
    return key === this.#last ? this.#otherAt : this.#lastAt;
  }
}

export class Blame<T = never> {
  readonly #suspects: Suspect<T>[] = [];
  readonly #lastServed = { request: new LastServed(), client: new LastServed() };

  get suspects(): readonly Suspect<T>[] {
    return this.#suspects;
  }

  /** A response to this source has begun. */
  began(now: Instant, source: Source = UNKNOWN): void {
    this.#lastServed.request.note(now, source.request);
    this.#lastServed.client.note(now, source.client);
    for (const suspect of this.#suspects) if (suspect.streak > 0 && !isOf(suspect, source)) suspect.contradicted = true;
  }

  /** A response to this source is complete: its failures are cleared. */
  served(now: Instant, source: Source = UNKNOWN): void {
    this.began(now, source);
    for (let i = this.#suspects.length - 1; i >= 0; i--) {
      const suspect = this.#suspects[i]!;
      if (isOf(suspect, source)) resetSuspect(suspect);
      if (suspect.data === null && (suspect.streak === 0 || now - suspect.failedAt > MEMORY_MS)) this.#drop(i);
    }
  }

  /** Records a failure. False: it counts for its source only, which has failed before while others are served. */
  failed(now: Instant, source: Source = UNKNOWN): boolean {
    const counts = !this.isSoleCause(source);
    for (const level of BLAME_LEVELS) {
      const suspect = this.suspectOf(now, level, source);
      suspect.streak++;
      suspect.failedAt = now;
    }
    return counts;
  }

  /** True if the next failure of this source counts for it only. */
  isSoleCause(source: Source = UNKNOWN): boolean {
    return this.soleCauseLevel(source) !== null;
  }

  /** The narrowest level at which failures count for the source only; null: they count for all. */
  soleCauseLevel(source: Source = UNKNOWN): BlameLevel | null {
    if (this.#suspects.length === 0) return null;
    for (const level of BLAME_LEVELS) {
      const suspect = this.find(level, source);
      if (suspect?.contradicted === true && suspect.streak >= STREAK_COUNTED) return level;
    }
    return null;
  }

  /** The larger of the consecutive failures of the source's request and client. */
  streakOf(source: Source = UNKNOWN): number {
    return Math.max(this.find('request', source)?.streak ?? 0, this.find('client', source)?.streak ?? 0);
  }

  /** A trial has shown that others are served while this source fails. */
  confirmCause(now: Instant, level: BlameLevel, key: string | number): void {
    const suspect = this.#suspects.find((one) => one.level === level && one.key === key) ?? this.#add(now, level, key);
    suspect.streak = Math.max(STREAK_COUNTED, suspect.streak);
    suspect.contradicted = true;
  }

  /** Several sources fail: no source counts as the only cause. */
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

  /** True if another client (or request) received a response within the last `withinMs`. */
  servesOthers(now: Instant, level: BlameLevel, key: string | number, withinMs: number): boolean {
    return now - this.#lastServed[level].besides(key) <= withinMs;
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
