import type { Instant } from '../../core/clock.ts';
import type { BreakerState } from '../../core/events.ts';
import type { Random } from '../../core/random.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { OutcomeWindow } from './outcome-window.ts';

export interface BreakerOptions {
  /** The stretch over which the failure ratio is taken, in milliseconds. */
  readonly windowMs: number;
  readonly failureRatio: number;
  /** The ratio says nothing before this many outcomes. */
  readonly minRequests: number;
  readonly consecutiveFailures: number;
  /** How long it opens the first time; doubles with every failed probe, in milliseconds. */
  readonly openForMs: number;
  readonly maxOpenForMs: number;
  /** Attempts let through at once while half-open. */
  readonly probes: number;
}

/** Open times are longer by up to this share, so that many instances don't probe in step. */
const JITTER = 0.2;

export interface BreakerRecord {
  readonly state: 'open' | 'isolated';
  readonly openUntilEpochMs: number;
  readonly openings: number;
}

/**
 * A circuit breaker as a resource: it takes nothing, but holds back while open, lets `probes` through while half-open,
 * and learns from settlements. A ticket is the generation of the state in which an attempt began; results of an
 * earlier generation are ignored.
 */
export class CircuitBreaker implements Resource {
  readonly id: string;
  readonly kind = 'breaker';
  readonly #options: BreakerOptions;
  readonly #random: Random;
  readonly #window: OutcomeWindow;
  #state: BreakerState = 'closed';
  #generation = 1;
  #openUntil: Instant = -Infinity;
  /** Openings in a row, without a success in between. */
  #openings = 0;
  #consecutive = 0;
  #probing = 0;

  constructor(id: string, options: BreakerOptions, random: Random) {
    this.id = id;
    this.#options = options;
    this.#random = random;
    this.#window = new OutcomeWindow(options.windowMs);
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Milliseconds until a probe may start; null while not open. */
  openForMs(now: Instant): number | null {
    return this.#state === 'open' ? Math.max(0, this.#openUntil - now) : null;
  }

  failureRatio(now: Instant): number {
    return this.#window.failureRatio(now);
  }

  earliest(now: Instant): Instant {
    switch (this.#state) {
      case 'closed':
        return now;
      case 'open':
        return Math.max(now, this.#openUntil);
      case 'half-open':
        return this.#probing < this.#options.probes ? now : WHEN_SETTLED;
      case 'isolated':
        return Infinity;
    }
  }

  reserve(_now: Instant, _need: Need): number {
    if (this.#state === 'open') this.#enter('half-open');
    if (this.#state === 'half-open') this.#probing++;
    return this.#generation;
  }

  settle(now: Instant, ticket: number, _need: Need, settlement: Settlement): void {
    if (ticket !== this.#generation) return;
    if (this.#state === 'half-open') this.#settleProbe(now, settlement);
    else if (this.#state === 'closed') this.#settleClosed(now, settlement);
  }

  cancel(_now: Instant, ticket: number): void {
    if (ticket === this.#generation && this.#state === 'half-open') this.#probing--;
  }

  /** The target itself asked for a longer pause; a shorter one changes nothing. */
  extend(until: Instant): void {
    if (this.#state === 'open') this.#openUntil = Math.max(this.#openUntil, until);
  }

  /** Held open by hand, until `reset`. */
  isolate(): void {
    this.#enter('isolated');
  }

  /** Closed by hand, with a clean record. */
  reset(): void {
    this.#close();
  }

  /** What is worth keeping over a restart; null while closed or half-open. */
  save(now: Instant, epochMs: number): BreakerRecord | null {
    if (this.#state !== 'open' && this.#state !== 'isolated') return null;
    const openUntilEpochMs = this.#state === 'open' ? epochMs + (this.#openUntil - now) : 0;
    return { state: this.#state, openUntilEpochMs, openings: this.#openings };
  }

  restore(now: Instant, epochMs: number, record: BreakerRecord): void {
    this.#enter(record.state);
    this.#openings = record.openings;
    this.#openUntil = Math.min(now + (record.openUntilEpochMs - epochMs), now + this.#options.maxOpenForMs);
  }

  #settleClosed(now: Instant, settlement: Settlement): void {
    if (settlement.health === 'neutral') return;
    const failed = settlement.health === 'failure';
    this.#window.record(now, failed);
    this.#consecutive = failed ? this.#consecutive + 1 : 0;
    if (!failed) this.#openings = 0;
    else if (this.#mustOpen(now)) this.#open(now);
  }

  #settleProbe(now: Instant, settlement: Settlement): void {
    if (settlement.health === 'success') this.#close();
    else if (settlement.health === 'failure') this.#open(now);
    else this.#probing--;
  }

  #mustOpen(now: Instant): boolean {
    if (this.#consecutive >= this.#options.consecutiveFailures) return true;
    return this.#window.count(now) >= this.#options.minRequests && this.#window.failureRatio(now) >= this.#options.failureRatio;
  }

  #open(now: Instant): void {
    this.#openings++;
    const openForMs = Math.min(this.#options.maxOpenForMs, this.#options.openForMs * 2 ** (this.#openings - 1));
    this.#openUntil = now + openForMs * (1 + JITTER * this.#random.next());
    this.#enter('open');
  }

  #close(): void {
    this.#openings = 0;
    this.#consecutive = 0;
    this.#window.clear();
    this.#enter('closed');
  }

  #enter(state: BreakerState): void {
    this.#state = state;
    this.#generation++;
    this.#probing = 0;
  }
}
