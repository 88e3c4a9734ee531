import type { Instant } from '../../core/clock.ts';
import { isOf } from '../../core/blame.ts';
import type { Suspect } from '../../core/blame.ts';
import type { BreakerState } from '../../core/events.ts';
import type { Random } from '../../core/random.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import type { BlameLevel, Source } from '../../core/source.ts';
import { drawJitter, grownOpenMs } from './breaker-options.ts';
import type { BreakerOptions } from './breaker-options.ts';
import { OutcomeWindow } from './outcome-window.ts';
import { SourceCircuits } from './source-circuits.ts';

export type { BreakerOptions } from './breaker-options.ts';

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

/** So long a source that fails leaves a probe to others who were answered of late, in milliseconds. */
const YIELD_MS = 1_000;
/** Opened by the failures of one source alone, it is asked by another one after so long, in milliseconds. */
const SECOND_WITNESS_MS = 1_000;

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
 *
 * One source's failures (a client's, a request's) are held against that source alone where others are answered: then the source is held,
 * and the state stays closed (`source-circuits.ts`). A negative ticket is that of a source's trial.
 */
export class CircuitBreaker implements Resource {
  readonly id: string;
  readonly kind = 'breaker';
  readonly #options: BreakerOptions;
  readonly #random: Random;
  readonly #window: OutcomeWindow;
  readonly #sources: SourceCircuits;
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
  /** The number of the present row of failures. */
  #row = 0;
  /** The source that was held in place of opening, while no other source has been answered since: a failure of another one opens it. */
  #doubted: Suspect<unknown> | null = null;
  /** The client whose failures alone opened it; null: there were several. */
  #openedBy: string | null = null;
  #openedAt: Instant = -Infinity;
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
    this.#sources = new SourceCircuits(options, random);
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

  earliest(now: Instant, need?: Need): Instant {
    const at = this.#earliest(now, need);
    return at === WHEN_SETTLED ? at : Math.max(at, this.#sources.heldUntil(need?.source));
  }

  reserve(now: Instant, { source }: Need): number {
    const isTrial = this.#sources.reserve(now, source);
    if (this.#state === 'open') this.#enter('half-open');
    if (++this.#running >= this.#allowed) this.#wanted = this.#allowed + GOOD_MIN;
    return isTrial ? -this.#generation : this.#generation;
  }

  onFirstContent(now: Instant, ticket: number, need?: Need): boolean {
    this.#sources.blame.began(now, need?.source);
    if (this.#doubted !== null && !isOf(this.#doubted, need?.source)) this.#doubted = null;
    return Math.abs(ticket) === this.#generation && !this.#careful && this.#widen(1);
  }

  settle(now: Instant, ticket: number, { source }: Need, { health }: Settlement): void {
    if (ticket < 0) this.#sources.settleTrial(now, source, health);
    if (Math.abs(ticket) !== this.#generation) return;
    this.#running--;
    if (health === 'neutral') return;
    if (this.#state === 'half-open') this.#settleProbe(now, source, health === 'success');
    else if (this.#state === 'closed' && (health === 'success' || ticket > 0)) this.#settleClosed(now, source, health === 'success');
  }

  cancel(now: Instant, ticket: number, need?: Need): void {
    if (ticket < 0) this.#sources.cancelTrial(now, need?.source);
    if (Math.abs(ticket) === this.#generation) this.#running--;
  }

  /** The failures of its request, or of its client, say nothing of the target: others are served. Null: they count. */
  soleCauseLevel(source: Source): BlameLevel | null {
    return this.#sources.blame.soleCauseLevel(source);
  }

  /** How long the source is still held though others are not, in milliseconds; 0: it is not. */
  heldForMs(now: Instant, source: Source | undefined): number {
    return Math.max(0, this.#sources.heldUntil(source) - now);
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
    this.#sources.blame.clear();
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

  /**
   * Another instance has found out how the target is: its record, as saved at `epochMs`; null: it is closed, and ramps here too. A probe is
   * that instance's own first: here it waits `laterMs` longer.
   */
  adopt(now: Instant, epochMs: number, record: BreakerRecord | null, laterMs: number): void {
    if (record !== null) {
      this.restore(now, epochMs, record);
      this.#openUntil += laterMs;
      this.#missedUntil += laterMs;
      return;
    }
    if (this.#state === 'closed') return;
    this.#close();
    this.#ramp();
  }

  get #opensAt(): Instant {
    return this.#isMissed ? this.#missedUntil : this.#openUntil;
  }

  #earliest(now: Instant, need: Need | undefined): Instant {
    switch (this.#state) {
      case 'closed':
        return this.#running < this.#allowed ? now : WHEN_SETTLED;
      case 'open':
        return Math.max(now, this.#probeAt(now, need));
      case 'half-open':
        return this.#running < this.#options.probes ? Math.max(now, this.#probeAt(now, need)) : WHEN_SETTLED;
      case 'isolated':
        return Infinity;
    }
  }

  /** A probe comes from a source that does not fail, where there is one. Without a source: the earliest over all sources. */
  #probeAt(now: Instant, need: Need | undefined): Instant {
    const at = this.#opensAt;
    if (need === undefined) return at;
    const { source } = need;
    if (this.#openedBy !== null && this.#openedBy !== source?.client) return Math.min(at, this.#openedAt + SECOND_WITNESS_MS);
    return now < at + YIELD_MS && this.#sources.shouldYield(now, source) ? at + YIELD_MS : at;
  }

  /** True if one client's failures opened it, and this source is another client that probes it early. */
  #isSecondWitness(now: Instant, source: Source | undefined): boolean {
    return source !== undefined && this.#openedBy !== null && this.#openedBy !== source.client && now < this.#opensAt;
  }

  #settleClosed(now: Instant, source: Source | undefined, isGood: boolean): void {
    if (isGood) {
      this.#sources.served(now, source);
      this.#window.record(now, false);
      this.#consecutive = 0;
      this.#row++;
      if (this.#doubted !== null && !isOf(this.#doubted, source)) this.#doubted = null;
      return this.#noteGood();
    }
    if (!this.#sources.failed(now, source, this.#window, this.#row)) return this.#sources.holdIfFailing(now, source);
    this.#window.record(now, true);
    if (++this.#consecutive === 1) this.#allowedBefore = this.#allowed;
    this.#allowed = Math.max(1, this.#allowed - 1);
    this.#careful = true;
    if (this.#doubted !== null && !isOf(this.#doubted, source)) {
      this.#doubted = this.#sources.holdClientOf(now, this.#doubted, source, this.#window);
      return this.#doubted === null ? this.#open(now) : undefined;
    }
    if (!this.#mustOpen(now)) return;
    const { consecutiveFailures } = this.#options;
    const isByRow = this.#consecutive >= Math.max(consecutiveFailures, this.isRamping ? this.#allowedBefore : 0);
    const suspect = this.#sources.holdOnlyWitness(now, { window: this.#window, consecutive: this.#consecutive, row: this.#row, isByRow });
    if (suspect === null) return this.#open(now);
    this.#consecutive -= this.#sources.rowFailuresOf(suspect, this.#row);
    this.#doubted = suspect;
  }

  /** One source that is known to fail says little: another one finds out how the target is. Two of them open it again. */
  #settleProbe(now: Instant, source: Source | undefined, isGood: boolean): void {
    if (isGood) return this.#closeByProbe(now, source);
    const wasFailing = this.#sources.shouldYield(now, source);
    const isCounted = this.#sources.failed(now, source, this.#window, this.#row);
    if (this.#doubted !== null && isOf(this.#doubted, source)) return;
    if (this.#doubted === null && (wasFailing || !isCounted)) {
      this.#doubted = this.#sources.hold(now, source);
      return;
    }
    if (this.#isSecondWitness(now, source)) this.#openings--; // no second outage
    if (source?.client !== this.#openedBy) this.#openedBy = null;
    this.#reopen(now);
  }

  #closeByProbe(now: Instant, source: Source | undefined): void {
    this.#close();
    this.#sources.served(now, source);
    this.#window.record(now, false);
    this.#sources.holdContradicted(now);
    this.#ramp();
  }

  #ramp(): void {
    this.#allowed = this.#options.probes + 1;
    this.#wanted = GOOD_MIN;
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
    this.#openedBy = this.#sources.onlyClient(now, this.#window.failures);
    this.#reopen(now);
  }

  #reopen(now: Instant): void {
    this.#doubted = null;
    this.#sources.clearContradictions();
    this.#openedAt = now;
    this.#openings++;
    this.#isMissed = this.#openings > 1 && this.#missed >= MISSED_MIN;
    this.#missed = 0;
    const { openForMs } = this.#options;
    const grownMs = grownOpenMs(this.#options, this.#openings);
    const jitter = drawJitter(this.#random);
    this.#openUntil = now + grownMs * jitter;
    this.#missedUntil = now + Math.min(grownMs, Math.max(openForMs, MISSED_OPEN_MS)) * jitter;
    this.#enter('open');
  }

  #close(): void {
    this.#consecutive = 0;
    this.#row++;
    this.#openedBy = this.#doubted = null;
    this.#window.clear();
    this.#sources.clearCounted();
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
