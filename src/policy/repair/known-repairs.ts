/**
 * What is known of the edits that a target refuses, for all requests to it. A lesson holds until it is probed: now and then one request
 * goes without the repair, and if the target takes it, the lesson is forgotten. Conversely, an edit that the target has accepted lately
 * is not suspected where an error does not name it, so that a caller's own faults are not asked twice.
 */
import type { Instant } from '../../core/clock.ts';
import { drop, VALUE_LENGTH_MAX } from './repair.ts';
import type { Repair } from './repair.ts';

const MINUTE = 60_000;
/** How often one request goes without a repair, in milliseconds. */
export const PROBE_EVERY_MS = 10 * MINUTE;
/** How long a lesson holds after the last refusal, in milliseconds. */
export const LESSON_HOLDS_MS = 60 * MINUTE;
/** How long an edit that was accepted is not suspected of an error that does not name it, in milliseconds. */
export const TRUST_HOLDS_MS = 10 * MINUTE;
/** How long an edit is not suspected of an error that stayed the same without it, in milliseconds. */
export const CLEARED_FOR_MS = MINUTE;
/** So many values of a field are refused one by one; where the target takes none, the field is as a whole from then on. */
export const VALUES_MAX = 3;

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

export class KnownRepairs {
  readonly #lessons = new Map<string, Lesson>();
  readonly #trusted = new Map<string, Instant>();
  /** By edit and error. */
  readonly #cleared = new Map<string, Instant>();
  /** When the target last took a field of which it refuses single values. */
  readonly #taken = new Map<string, Instant>();
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
  learn(now: Instant, found: Repair, isNamed: boolean): void {
    const repair = this.#takesNoValue(now, found) ? drop(found.field, null) : found;
    if (repair.value !== null && repair.value.length > VALUE_LENGTH_MAX) return;
    const isKnown = this.#lessons.delete(repair.key);
    if (this.#lessons.size >= LESSONS_MAX) this.#lessons.delete(this.#lessons.keys().next().value!);
    this.#lessons.set(repair.key, { repair, refusedAt: now, probeAt: isNamed || isKnown ? now + PROBE_EVERY_MS : now });
    this.#trusted.delete(repair.key);
  }

  /** True if the last of several values of the field is refused, and none was taken. */
  #takesNoValue(now: Instant, { kind, field, value, key }: Repair): boolean {
    if (kind !== 'drop' || value === null || now - (this.#taken.get(field) ?? -Infinity) < TRUST_HOLDS_MS) return false;
    let refused = this.#lessons.has(key) ? 0 : 1;
    for (const { repair } of this.#lessons.values()) if (repair.kind === 'drop' && repair.field === field) refused++;
    return refused >= VALUES_MAX;
  }

  /** A request was answered; `isSent`: whether it had the field. */
  takes(now: Instant, isSent: (field: string) => boolean): void {
    for (const { repair } of this.#lessons.values()) {
      if (repair.kind !== 'drop' || repair.value === null || !isSent(repair.field)) continue;
      if (this.#taken.size >= LESSONS_MAX && !this.#taken.has(repair.field)) this.#taken.clear();
      this.#taken.set(repair.field, now);
    }
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

  /** The edit that the repair undoes was accepted. */
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
    return now - (this.#cleared.get(`${key} ${signature}`) ?? -Infinity) < CLEARED_FOR_MS;
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
