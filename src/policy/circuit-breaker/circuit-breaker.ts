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

/**
 * A target that is missed is asked again after this long, however long its open time has grown, in milliseconds. What makes a rare
 * probe worth having is that every probe costs somebody an attempt; where many go without the target, it is the other way round.
 */
const MISSED_OPEN_MS = 25_000;
/** It is missed once so many requests have gone without it, now or the last time: about one in so many of them pays for a probe. */
const MISSED_MIN = 20;

/** So many failures in a row as come by chance more often than this are no sign of anything new. */
const CHANCE_MAX = 0.05;

/** What a good answer adds to what may run at once, from the first failure of a ramp on: it may have come near to what the target can take. */
const CAREFUL_STEP = 0.75;
/** In a ramp fewer failures tell: the ratio counts from so many on. */
const RAMP_FAILURES_MIN = 3;

/** A ramp ends after so many good answers, and one for each place, in which it held nobody back. */
const GOOD_MIN = 10;

export interface BreakerRecord {
  readonly state: 'open' | 'isolated';
  readonly openUntilEpochMs: number;
  /** When it is asked again if it is missed. */
  readonly missedUntilEpochMs: number;
  readonly openings: number;
}

/**
 * A circuit breaker as a resource: it takes nothing, but holds back while open, lets `probes` through while half-open,
 * and learns from settlements. A ticket is the generation of the state in which an attempt began; results of an
 * earlier generation are ignored.
 *
 * Closed by a probe, it ramps: each answer that begins and each that ends well lets one more through at once, each failure one
 * less, so that a target which has just come up is not hit with all who waited for it, and one that breaks down under them sees no
 * more. It is open again when its failures reach the ratio, or all that was let through has failed, and for longer than before: only
 * the end of the ramp forgives.
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
  /** The same, once it is missed; never later. */
  #missedUntil: Instant = -Infinity;
  /** Requests that went without it since it opened. */
  #missed = 0;
  #isMissed = false;
  /** Openings in a row, until a ramp has come to its end. */
  #openings = 0;
  #consecutive = 0;
  /** How many might run at once when these failures began. */
  #allowedBefore = Infinity;
  /** Attempts of this generation that have not ended. */
  #running = 0;
  /** How many may run at once while closed; Infinity: it does not ramp. */
  #allowed = Infinity;
  /** A ramp without a failure so far grows fast. */
  #careful = false;
  /** Good answers that are still wanted: since it was last full. */
  #wanted = 0;

  constructor(id: string, options: BreakerOptions, random: Random) {
    this.id = id;
    this.#options = options;
    this.#random = random;
    this.#window = new OutcomeWindow(options.windowMs);
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** It has come back and is being loaded again, step by step. */
  get isRamping(): boolean {
    return this.#state === 'closed' && this.#allowed < Infinity;
  }

  /** Milliseconds until a probe may start; null while not open. */
  openForMs(now: Instant): number | null {
    return this.#state === 'open' ? Math.max(0, this.#opensAt - now) : null;
  }

  failureRatio(now: Instant): number {
    return this.#window.failureRatio(now);
  }

  earliest(now: Instant): Instant {
    switch (this.#state) {
      case 'closed':
        return this.#running < this.#allowed ? now : WHEN_SETTLED;
      case 'open':
        return Math.max(now, this.#opensAt);
      case 'half-open':
        return this.#running < this.#options.probes ? now : WHEN_SETTLED;
      case 'isolated':
        return Infinity;
    }
  }

  reserve(_now: Instant, _need: Need): number {
    if (this.#state === 'open') this.#enter('half-open');
    if (++this.#running >= this.#allowed) this.#wanted = this.#allowed + GOOD_MIN;
    return this.#generation;
  }

  prove(_now: Instant, ticket: number): boolean {
    return ticket === this.#generation && !this.#careful && this.#widen(1);
  }

  settle(now: Instant, ticket: number, _need: Need, settlement: Settlement): void {
    if (ticket !== this.#generation) return;
    this.#running--;
    if (this.#state === 'half-open') this.#settleProbe(now, settlement);
    else if (this.#state === 'closed') this.#settleClosed(now, settlement);
  }

  cancel(_now: Instant, ticket: number): void {
    if (ticket === this.#generation) this.#running--;
  }

  /** A request that would have had it goes without, or waits. True if it may be asked sooner by that. */
  miss(): boolean {
    if (this.#state !== 'open') return false;
    if (++this.#missed < MISSED_MIN || this.#isMissed) return false;
    this.#isMissed = true;
    return this.#missedUntil < this.#openUntil;
  }

  /** The target itself asked for a longer pause; a shorter one changes nothing. */
  extend(until: Instant): void {
    if (this.#state !== 'open') return;
    this.#openUntil = Math.max(this.#openUntil, until);
    this.#missedUntil = Math.max(this.#missedUntil, until);
  }

  /** Held open by hand, until `reset`. */
  isolate(): void {
    this.#enter('isolated');
  }

  /** Closed by hand, with a clean record. */
  reset(): void {
    this.#openings = 0;
    this.#close();
  }

  /** What is worth keeping over a restart; null while closed. Nobody will hear of a probe that is under way: it is due again. */
  save(now: Instant, epochMs: number): BreakerRecord | null {
    const openings = this.#openings;
    if (this.#state === 'closed') return null;
    if (this.#state === 'isolated') return { state: 'isolated', openUntilEpochMs: 0, missedUntilEpochMs: 0, openings };
    const openUntilEpochMs = epochMs + (this.#openUntil - now);
    const missedUntilEpochMs = epochMs + (this.#missedUntil - now);
    return { state: 'open', openUntilEpochMs, missedUntilEpochMs, openings };
  }

  restore(now: Instant, epochMs: number, record: BreakerRecord): void {
    this.#enter(record.state);
    this.#openings = record.openings;
    const latest = now + this.#options.maxOpenForMs;
    this.#openUntil = Math.min(now + (record.openUntilEpochMs - epochMs), latest);
    this.#missedUntil = Math.min(now + (record.missedUntilEpochMs - epochMs), this.#openUntil);
  }

  get #opensAt(): Instant {
    return this.#isMissed ? this.#missedUntil : this.#openUntil;
  }

  #settleClosed(now: Instant, settlement: Settlement): void {
    if (settlement.health === 'neutral') return;
    const failed = settlement.health === 'failure';
    this.#window.record(now, failed);
    this.#consecutive = failed ? this.#consecutive + 1 : 0;
    if (!failed) return this.#noteGood();
    if (this.#consecutive === 1) this.#allowedBefore = this.#allowed;
    this.#allowed = Math.max(1, this.#allowed - 1);
    this.#careful = true;
    if (this.#mustOpen(now)) this.#open(now);
  }

  #settleProbe(now: Instant, settlement: Settlement): void {
    if (settlement.health === 'success') {
      this.#close();
      this.#window.record(now, false);
      this.#allowed = this.#options.probes + 1;
      this.#wanted = GOOD_MIN;
    } else if (settlement.health === 'failure') this.#open(now);
  }

  #noteGood(): void {
    if (!this.#widen(this.#careful ? CAREFUL_STEP : 1)) return;
    if (--this.#wanted > 0) return;
    this.#allowed = Infinity;
    this.#openings = 0;
  }

  #widen(by: number): boolean {
    if (!this.isRamping) return false;
    this.#allowed += by;
    return true;
  }

  #mustOpen(now: Instant): boolean {
    const { consecutiveFailures, failureRatio, minRequests } = this.#options;
    const isTold = this.#window.failureRatio(now) >= failureRatio;
    if (!this.isRamping)
      return (this.#consecutive >= consecutiveFailures && !this.#isChance(now)) || (isTold && this.#window.count(now) >= minRequests);
    if (this.#consecutive >= Math.max(consecutiveFailures, this.#allowedBefore)) return true;
    return isTold && this.#window.failures >= RAMP_FAILURES_MIN;
  }

  /** A target that fails three calls in ten fails five in a row every few hundred calls. */
  #isChance(now: Instant): boolean {
    const before = this.#window.count(now) - this.#consecutive;
    if (before < this.#options.minRequests) return false;
    const failureRatio = (this.#window.failures - this.#consecutive) / before;
    return before * failureRatio ** this.#consecutive > CHANCE_MAX;
  }

  #open(now: Instant): void {
    this.#openings++;
    this.#isMissed = this.#openings > 1 && this.#missed >= MISSED_MIN;
    this.#missed = 0;
    const { openForMs, maxOpenForMs } = this.#options;
    const grownMs = Math.min(maxOpenForMs, openForMs * 2 ** (this.#openings - 1));
    const jitter = 1 + JITTER * this.#random.next();
    this.#openUntil = now + grownMs * jitter;
    this.#missedUntil = now + Math.min(grownMs, Math.max(openForMs, MISSED_OPEN_MS)) * jitter;
    this.#enter('open');
  }

  #close(): void {
    this.#consecutive = 0;
    this.#window.clear();
    this.#enter('closed');
  }

  #enter(state: BreakerState): void {
    this.#state = state;
    this.#generation++;
    this.#running = 0;
    this.#allowed = Infinity;
    this.#careful = false;
  }
}
