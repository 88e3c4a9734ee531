import { isOf } from '../../core/blame.ts';
import type { Instant } from '../../core/clock.ts';
import type { BlameLevel, Source } from '../../core/source.ts';

/** Beyond this many, the pause that ends first is forgotten. */
const PAUSES_MAX = 32;

interface SourcePause {
  readonly level: BlameLevel;
  readonly key: string | number;
  until: Instant;
  /** How long it was at its beginning. */
  forMs: number;
  /** After its end: when the next request may start unless the last one is served; -Infinity: none has started. */
  nextAt: Instant;
}

/** So long after its end a pause is forgotten, in milliseconds. */
const FORGET_MS = 60_000;

/** Pauses that hold back one client or one request each. When one is over, its source tries one request for each pause, until it is served. */
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

  /** A request of the source starts: the next one comes a pause later, unless this one is served. */
  reserve(now: Instant, source: Source | undefined): void {
    if (this.#list.length === 0 || source === undefined) return;
    for (const pause of this.#list) {
      if (isOf(pause, source) && now - endOf(pause) < FORGET_MS) pause.nextAt = now + pause.forMs;
    }
  }

  /** A request of the source was not sent: another one may start in its place. */
  cancel(now: Instant, source: Source | undefined): void {
    if (this.#list.length === 0 || source === undefined) return;
    for (const pause of this.#list) if (isOf(pause, source)) pause.nextAt = Math.min(pause.nextAt, now);
  }

  /** Until when the source is held back; -Infinity: it is not. */
  until(now: Instant, source: Source): Instant {
    let until = -Infinity;
    for (const pause of this.#list) if (endOf(pause) > now && isOf(pause, source)) until = Math.max(until, endOf(pause));
    return until;
  }

  /** The source was answered. True if it was held back. */
  served(source: Source | undefined): boolean {
    if (this.#list.length === 0 || source === undefined) return false;
    const left = this.#list.filter((pause) => !isOf(pause, source));
    const isNews = left.length < this.#list.length;
    this.#list = left;
    return isNews;
  }

  clear(): void {
    this.#list = [];
  }
}

function endOf({ until, nextAt }: SourcePause): Instant {
  return Math.max(until, nextAt);
}
