/**
 * What is known of the edits that a target refuses, for all requests to it. A lesson holds until it is probed: now and then one request
 * goes without the repair, and if the target takes it, the lesson is forgotten. Conversely, an edit that the target has accepted lately
 * is not suspected where an error does not name it, so that a caller's own faults are not asked twice.
 */
import type { Instant } from '../../core/clock.ts';
import { VALUE_LENGTH_MAX } from './repair.ts';
import type { Repair } from './repair.ts';

const MINUTE = 60_000;
/** How often one request goes without a repair, in milliseconds. */
export const PROBE_EVERY_MS = 10 * MINUTE;
/** How long a lesson holds after the last refusal, in milliseconds. */
export const LESSON_HOLDS_MS = 60 * MINUTE;
/** How long an edit that was accepted, or found innocent, is not suspected, in milliseconds. */
export const TRUST_HOLDS_MS = 10 * MINUTE;

const SUSPECT_EVERY_MS = 1_000;

export const LESSONS_MAX = 32;
const TRUSTED_MAX = 64;
const CLEARED_MAX = 64;

interface Lesson {
  readonly repair: Repair;
  readonly refusedAt: Instant;
  probeAt: Instant;
}

const NOTHING: readonly Repair[] = [];

export class RepairBook {
  readonly #lessons = new Map<string, Lesson>();
  readonly #trusted = new Map<string, Instant>();
  /** By edit and error. */
  readonly #cleared = new Map<string, Instant>();
  #vagueAt: Instant = -Infinity;
  #suspectedAt: Instant = -Infinity;

  get isEmpty(): boolean {
    return this.#lessons.size === 0;
  }

  /** The repairs that a request needs; `concerns`: whether one makes a difference to it. One that is due to be probed is left out. */
  for(now: Instant, concerns: (repair: Repair) => boolean): readonly Repair[] {
    if (this.#lessons.size === 0) return NOTHING;
    const found: Repair[] = [];
    let probes = 0;
    for (const [key, lesson] of this.#lessons) {
      if (now - lesson.refusedAt > LESSON_HOLDS_MS) this.#lessons.delete(key);
      else if (!concerns(lesson.repair)) continue;
      else if (now < lesson.probeAt || ++probes > 1) found.push(lesson.repair);
      else lesson.probeAt = now + PROBE_EVERY_MS;
    }
    return found;
  }

  /** The target refuses what the repair changes. `isNamed`: its words say so; otherwise the lesson is probed at once, the first time. */
  learn(now: Instant, repair: Repair, isNamed: boolean): void {
    if (repair.value !== null && repair.value.length > VALUE_LENGTH_MAX) return;
    const isKnown = this.#lessons.delete(repair.key);
    if (this.#lessons.size >= LESSONS_MAX) this.#lessons.delete(this.#lessons.keys().next().value!);
    this.#lessons.set(repair.key, { repair, refusedAt: now, probeAt: isNamed || isKnown ? now + PROBE_EVERY_MS : now });
    this.#trusted.delete(repair.key);
  }

  knows(key: string): boolean {
    return this.#lessons.has(key);
  }

  unlearn(key: string): void {
    this.#lessons.delete(key);
  }

  /** A request that had begun at `startedAt` was answered without the repair. */
  accepted(startedAt: Instant, isMade: (repair: Repair) => boolean): void {
    for (const [key, lesson] of this.#lessons) if (lesson.refusedAt <= startedAt && isMade(lesson.repair)) this.#lessons.delete(key);
  }

  /** The edit that the repair undoes was accepted, or was not to blame. */
  trust(now: Instant, key: string): void {
    if (this.#trusted.size >= TRUSTED_MAX && !this.#trusted.has(key)) this.#trusted.clear();
    this.#trusted.set(key, now);
  }

  isTrusted(now: Instant, key: string): boolean {
    return now - (this.#trusted.get(key) ?? -Infinity) < TRUST_HOLDS_MS;
  }

  /** The repair did not help against an error: it is not tried against the same one again. */
  clear(now: Instant, key: string, signature: string): void {
    const name = `${key} ${signature}`;
    this.#cleared.delete(name);
    if (this.#cleared.size >= CLEARED_MAX) this.#cleared.delete(this.#cleared.keys().next().value!);
    this.#cleared.set(name, now);
  }

  isCleared(now: Instant, key: string, signature: string): boolean {
    return now - (this.#cleared.get(`${key} ${signature}`) ?? -Infinity) < TRUST_HOLDS_MS;
  }

  /**
   * A server error that names nothing is most often no refusal at all: an edit is suspected only at the second one within the time that
   * trust holds, and at most once a second. True: suspect it.
   */
  isVagueAgain(now: Instant): boolean {
    if (now - this.#vagueAt >= TRUST_HOLDS_MS) {
      this.#vagueAt = now;
      return false;
    }
    if (now - this.#suspectedAt < SUSPECT_EVERY_MS) return false;
    this.#suspectedAt = now;
    return true;
  }
}
