/**
 * Which edits of a request a target refuses, learned from all requests to it. A repair applies until it is probed: now and then one request
 * is sent without it, and if the target accepts that, the repair is dropped. Conversely, an edit that the target has accepted recently is
 * not suspected of an error that does not name it, so that a caller's own mistakes are not sent twice.
 */
import type { Instant } from '../../core/clock.ts';
import { drop, VALUE_LENGTH_MAX } from './repair.ts';
import type { Repair } from './repair.ts';

const MINUTE = 60_000;
/** How often one request is sent without a repair, in milliseconds. */
export const PROBE_EVERY_MS = 10 * MINUTE;
/** How long a repair applies after the last refusal, in milliseconds. */
export const LESSON_HOLDS_MS = 60 * MINUTE;
/** How long an accepted edit is not suspected of an error that does not name it, in milliseconds. */
export const TRUST_HOLDS_MS = 10 * MINUTE;
/** How long an edit is not suspected of an error that did not change without it, in milliseconds. */
export const CLEARED_FOR_MS = MINUTE;
/** After this many refused values of a field, without an accepted one, the whole field is dropped. */
export const VALUES_MAX = 3;

const SUSPECT_EVERY_MS = 1_000;

export const LESSONS_MAX = 32;
const TRUSTED_MAX = 64;
const CLEARED_MAX = 64;

interface Learned {
  readonly repair: Repair;
  readonly refusedAt: Instant;
  probeAt: Instant;
}

const NOTHING: readonly Repair[] = [];

export class KnownRepairs {
  readonly #repairs = new Map<string, Learned>();
  readonly #trusted = new Map<string, Instant>();
  /** By edit and error. */
  readonly #cleared = new Map<string, Instant>();
  /** When the target last accepted a field some of whose values it refuses. */
  readonly #acceptedAt = new Map<string, Instant>();
  #vagueAt: Instant = -Infinity;
  #suspectedAt: Instant = -Infinity;

  get isEmpty(): boolean {
    return this.#repairs.size === 0;
  }

  /** The repairs for a request. `concerns`: whether a repair changes this request. One that is due for a probe is left out. */
  for(now: Instant, concerns: (repair: Repair) => boolean): readonly Repair[] {
    if (this.#repairs.size === 0) return NOTHING;
    const found: Repair[] = [];
    let probes = 0;
    for (const [key, learned] of this.#repairs) {
      if (now - learned.refusedAt > LESSON_HOLDS_MS) this.#repairs.delete(key);
      else if (!concerns(learned.repair)) continue;
      else if (now < learned.probeAt || ++probes > 1) found.push(learned.repair);
      else learned.probeAt = now + PROBE_EVERY_MS;
    }
    return found;
  }

  /** The target refuses what the repair changes. `isNamed`: the error names it; otherwise the repair is probed at once, the first time. */
  learn(now: Instant, found: Repair, isNamed: boolean): void {
    const repair = this.#refusesAllValues(now, found) ? drop(found.field, null) : found;
    if (repair.value !== null && repair.value.length > VALUE_LENGTH_MAX) return;
    const isKnown = this.#repairs.delete(repair.key);
    if (this.#repairs.size >= LESSONS_MAX) this.#repairs.delete(this.#repairs.keys().next().value!);
    this.#repairs.set(repair.key, { repair, refusedAt: now, probeAt: isNamed || isKnown ? now + PROBE_EVERY_MS : now });
    this.#trusted.delete(repair.key);
  }

  /** True if this is the last of several refused values of the field, and none was accepted. */
  #refusesAllValues(now: Instant, { kind, field, value, key }: Repair): boolean {
    if (kind !== 'drop' || value === null || now - (this.#acceptedAt.get(field) ?? -Infinity) < TRUST_HOLDS_MS) return false;
    let refused = this.#repairs.has(key) ? 0 : 1;
    for (const { repair } of this.#repairs.values()) if (repair.kind === 'drop' && repair.field === field) refused++;
    return refused >= VALUES_MAX;
  }

  /** A request was served; `isSent`: whether it had the field. */
  takes(now: Instant, isSent: (field: string) => boolean): void {
    for (const { repair } of this.#repairs.values()) {
      if (repair.kind !== 'drop' || repair.value === null || !isSent(repair.field)) continue;
      if (this.#acceptedAt.size >= LESSONS_MAX && !this.#acceptedAt.has(repair.field)) this.#acceptedAt.clear();
      this.#acceptedAt.set(repair.field, now);
    }
  }

  has(key: string): boolean {
    return this.#repairs.has(key);
  }

  unlearn(key: string): void {
    this.#repairs.delete(key);
  }

  /** A request that started at `startedAt` was served without the repair. */
  accepted(startedAt: Instant, isMade: (repair: Repair) => boolean): void {
    for (const [key, learned] of this.#repairs) if (learned.refusedAt <= startedAt && isMade(learned.repair)) this.#repairs.delete(key);
  }

  /** The edit that the repair undoes was accepted. */
  trust(now: Instant, key: string): void {
    if (this.#trusted.size >= TRUSTED_MAX && !this.#trusted.has(key)) this.#trusted.clear();
    this.#trusted.set(key, now);
  }

  isTrusted(now: Instant, key: string): boolean {
    return now - (this.#trusted.get(key) ?? -Infinity) < TRUST_HOLDS_MS;
  }

  /** The repair did not help against an error: it is not tried against the same error again. */
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
   * A server error that names nothing is usually no refusal: an edit is suspected only at the second one within the time of trust, and at
   * most once a second. True: suspect it.
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
