import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { Resource } from '../../core/resource.ts';

/**
 * When a cooldown ends, everybody who waited for it would start at once and be refused again. The first starts
 * after one are therefore spaced: this far apart at first, jittered, each gap a little shorter than the last.
 */
const FIRST_GAP_MS = 50;
const GAP_SHRINKS_TO = 0.95;
const LAST_GAP_MS = 5;

/** A pause that a target asked for, or a credential that is out of order (kind `bench`). Takes nothing; it only holds back. */
export class Cooldown implements Resource {
  readonly id: string;
  readonly #usually: 'cooldown' | 'bench';
  readonly #random: Random;
  #kind: 'cooldown' | 'bench';
  #until: Instant = -Infinity;
  #gapMs = 0;
  #nextStart: Instant = -Infinity;
  /** The newest ticket, and how things stood before it: so that it can be taken back if nothing came after. */
  #ticket = 0;
  #before = { nextStart: -Infinity, gapMs: 0 };

  constructor(id: string, kind: 'cooldown' | 'bench', random: Random) {
    this.id = id;
    this.#usually = kind;
    this.#kind = kind;
    this.#random = random;
  }

  /** `cooldown` while a rate limit is the cause, `bench` for anything else. */
  get kind(): 'cooldown' | 'bench' {
    return this.#kind;
  }

  /** Holds everything back until `until`; never shortens a cooldown that runs. */
  coolUntil(until: Instant, kind: 'cooldown' | 'bench' = this.#usually): void {
    if (until <= this.#until) return;
    this.#kind = kind;
    this.#until = until;
    this.#nextStart = Math.max(this.#nextStart, until);
    this.#gapMs = FIRST_GAP_MS;
    this.#ticket++;
  }

  /** Ends it at once, by hand or because the target has answered. */
  reset(): void {
    this.#until = -Infinity;
    this.#nextStart = -Infinity;
    this.#gapMs = 0;
    this.#ticket++;
  }

  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now);
  }

  earliest(now: Instant): Instant {
    return this.#nextStart > now ? this.#nextStart : now;
  }

  reserve(now: Instant): number {
    this.#before = { nextStart: this.#nextStart, gapMs: this.#gapMs };
    if (this.#gapMs > LAST_GAP_MS) {
      this.#nextStart = Math.max(now, this.#nextStart) + this.#gapMs * (0.5 + this.#random.next());
      this.#gapMs *= GAP_SHRINKS_TO;
    } else if (this.#gapMs !== 0) {
      this.#gapMs = 0;
    }
    return ++this.#ticket;
  }

  settle(): void {}

  cancel(_now: Instant, ticket: number): void {
    if (ticket !== this.#ticket) return; // others have been spaced after it: its gap stays
    this.#nextStart = this.#before.nextStart;
    this.#gapMs = this.#before.gapMs;
    this.#ticket++;
  }
}
