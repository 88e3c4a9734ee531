import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';

/** A credential that is refused again and again is asked this seldom, in milliseconds; only the provider's own word makes it rarer. */
export const BENCH_MAX_MS = 60 * 60_000;

/** What is worth keeping of a bench over a restart. */
export interface BenchRecord {
  readonly untilEpochMs: number;
  /** Refusals in a row. */
  readonly strikes: number;
}

/**
 * A credential that is out of order: its quota is spent, or the provider refuses it. Once the time is over, one request
 * at a time tries it, and the others go elsewhere; it is in order again when one of them is answered, and out for twice
 * as long when it is refused again. A ticket is the generation in which an attempt began; what an earlier one finds out
 * is old news.
 */
export class Bench implements Resource {
  readonly id: string;
  readonly kind = 'bench';
  #until: Instant = -Infinity;
  #strikes = 0;
  #trying = false;
  #generation = 1;

  constructor(id: string) {
    this.id = id;
  }

  /**
   * Refused: out for `benchMs`, doubled for each refusal in a row up to `BENCH_MAX_MS`, and for `floorMs` at least. The
   * answers of requests that were under way when it was benched, or put in order since, count as one refusal with the first: they
   * may make its time longer by the provider's own word only. Returns how long it is out by this; null: that was known.
   */
  strike(now: Instant, ticket: number, benchMs: number, floorMs = 0): number | null {
    if (ticket !== this.#generation) {
      if (now >= this.#until || now + floorMs <= this.#until) return null;
      this.#until = now + floorMs;
      return floorMs;
    }
    const grownMs = Math.min(BENCH_MAX_MS, benchMs * 2 ** Math.min(this.#strikes, 20));
    const forMs = Math.max(grownMs, floorMs);
    this.#strikes++;
    this.#turn(now + forMs);
    return forMs;
  }

  /** Refused, and nothing has been answered since. */
  get isInDoubt(): boolean {
    return this.#strikes > 0;
  }

  /** An answer has begun: it is in order. */
  prove(_now: Instant, ticket: number): boolean {
    if (ticket !== this.#generation || this.#strikes === 0) return false;
    this.reset();
    return true;
  }

  /** In order at once, with a clean record. */
  reset(): void {
    this.#strikes = 0;
    this.#turn(-Infinity);
  }

  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now);
  }

  earliest(now: Instant): Instant {
    if (now < this.#until) return this.#until;
    return this.#trying ? WHEN_SETTLED : now;
  }

  reserve(_now: Instant, _need: Need): number {
    if (this.#strikes > 0) this.#trying = true;
    return this.#generation;
  }

  settle(_now: Instant, ticket: number, _need: Need, settlement: Settlement): void {
    if (ticket !== this.#generation || this.#strikes === 0) return;
    if (settlement.health === 'success') this.reset();
    else this.#trying = false; // it says nothing of the credential: the next one tries
  }

  cancel(_now: Instant, ticket: number): void {
    if (ticket === this.#generation) this.#trying = false;
  }

  /** Null while it is in order. */
  save(now: Instant, epochMs: number): BenchRecord | null {
    return this.#strikes === 0 ? null : { untilEpochMs: epochMs + (this.#until - now), strikes: this.#strikes };
  }

  restore(now: Instant, epochMs: number, record: BenchRecord): void {
    this.#strikes = record.strikes;
    this.#turn(now + (record.untilEpochMs - epochMs));
  }

  #turn(until: Instant): void {
    this.#until = until;
    this.#trying = false;
    this.#generation++;
  }
}
