import { isOf } from '../../core/blame.ts';
import type { Instant } from '../../core/clock.ts';
import type { BlameLevel, Source } from '../../core/source.ts';

/** With this many, the pause that ends first is dropped for a new one. */
const PAUSES_MAX = 32;

interface SourcePause {
  readonly level: BlameLevel;
  readonly key: string | number;
  until: Instant;
  /** Its duration when it was set. */
  forMs: number;
  /** After its end: when the next request may start unless the last one is served; -Infinity: none has started. */
  nextAt: Instant;
}

/** A pause is dropped this long after its end, in milliseconds. */
const FORGET_MS = 60_000;

/**
 * Pauses that block one client or one request each. After a pause its source may start one request per pause duration, until one is served.
 */
export class SourcePauses {
  #list: SourcePause[] = [];

  add(now: Instant, level: BlameLevel, key: string | number, until: Instant): void {
    const forMs = until - now;
    const known = this.#list.find((pause) => pause.level === level && pause.key === key);
    if (known !== undefined) {
      known.until = Math.max(known.until, until);
      known.forMs = forMs;
      return;
    }
    this.#list = this.#list.filter((pause) => now - endOf(pause) < FORGET_MS).toSorted((a, b) => endOf(b) - endOf(a));
    if (this.#list.length >= PAUSES_MAX) this.#list.pop();
    this.#list.push({ level, key, until, forMs, nextAt: -Infinity });
  }

  /** A request of the source starts: the next one may start a pause duration later, or once this one is served. */
  reserve(now: Instant, source: Source | undefined): void {
    if (this.#list.length === 0 || source === undefined) return;
    for (const pause of this.#list) {
      if (isOf(pause, source) && now - endOf(pause) < FORGET_MS) pause.nextAt = now + pause.forMs;
    }
  }

  /** A request of the source was not sent: another one may start instead. */
  cancel(now: Instant, source: Source | undefined): void {
    if (this.#list.length === 0 || source === undefined) return;
    for (const pause of this.#list) if (isOf(pause, source)) pause.nextAt = Math.min(pause.nextAt, now);
  }

  /** Until when the source is blocked; -Infinity: it is not. */
  until(now: Instant, source: Source): Instant {
    let until = -Infinity;
    for (const pause of this.#list) if (endOf(pause) > now && isOf(pause, source)) until = Math.max(until, endOf(pause));
    return until;
  }

  /** A request of the source was served. True if it was blocked. */
  served(source: Source | undefined): boolean {
    if (this.#list.length === 0 || source === undefined) return false;
    const left = this.#list.filter((pause) => !isOf(pause, source));
    const wasBlocked = left.length < this.#list.length;
    this.#list = left;
    return wasBlocked;
  }

  clear(): void {
    this.#list = [];
  }
}

function endOf({ until, nextAt }: SourcePause): Instant {
  return Math.max(until, nextAt);
}
