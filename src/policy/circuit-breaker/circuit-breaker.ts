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
import { isChance } from './chance.ts';
import { OutcomeWindow } from './outcome-window.ts';
import { SourceCircuits } from './source-circuits.ts';

export type { BreakerOptions } from './breaker-options.ts';

/**
 * A target with demand is probed again after this long, however long its open time has grown, in milliseconds. Every probe costs one
 * request an attempt, so probes are rare; but while many requests skip the target, the outage costs more than a probe.
 */
const SKIPPED_OPEN_MS = 25_000;
/**
 * A target has demand once this many requests have skipped it, in this open period or the last: about one in so many then pays for a probe.
 */
const SKIPPED_MIN = 20;

/** From the first failure of a ramp on, each success raises the limit by this much only: the target may be near its capacity. */
const CAREFUL_STEP = 0.75;
/** During a ramp the failure ratio counts from this many failures on. */
const RAMP_FAILURES_MIN = 3;

/** A failing source leaves a probe to recently served sources for this long, in milliseconds. */
const YIELD_PROBE_MS = 1_000;
/** Opened by the failures of a single source, the target may be probed by another source after this long, in milliseconds. */
const SECOND_SOURCE_MS = 1_000;

/** A ramp ends after this many successes, plus one for each admitted call, during which the limit was not reached. */
const RAMP_SUCCESSES_MIN = 10;

export interface BreakerRecord {
  readonly state: 'open' | 'isolated';
  readonly openUntilEpochMs: number;
  /** When it may be probed if it has demand. */
  readonly missedUntilEpochMs: number;
  readonly openings: number;
}

/**
 * A circuit breaker as a resource. It has no capacity of its own: it blocks every start while open, admits `probes` attempts while
 * half-open, and learns from settlements. A ticket is the generation of the state in which an attempt started; outcomes from an earlier
 * generation are ignored.
 *
 * ## Recovery
 *
 * Closing after a probe starts a ramp: a limit on concurrent calls that rises by one with each response that starts and each that succeeds,
 * and falls by one with each failure. A target that has just recovered is therefore not hit by every waiting request at once, and one that
 * fails under the load gets no more. The ramp opens the breaker again when its failures reach the ratio, or when all admitted calls have
 * failed. Open times keep growing until a ramp completes.
 *
 * ## Sources
 *
 * Failures that only one source has (a client, or a request that is repeated) count against that source alone while other sources are
 * served: the source is then blocked and the breaker stays closed (`source-circuits.ts`). A negative ticket belongs to a trial of a blocked
 * source.
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
  /** The same while it has demand; never later. */
  #probeWithDemandAt: Instant = -Infinity;
  /** Requests that skipped it since it opened. */
  #skipped = 0;
  #hasDemand = false;
  /** Consecutive openings, until a ramp completes. */
  #openings = 0;
  #consecutive = 0;
  /** Identifies the current run of failures. */
  #run = 0;
  /**
   * The source that was blocked instead of opening, until another source is served; a failure of another source before that opens the
   * breaker.
   */
  #blockedInstead: Suspect<unknown> | null = null;
  /** The client whose failures alone opened it; null: several clients. */
  #openedBy: string | null = null;
  #openedAt: Instant = -Infinity;
  /** The limit when the current run of failures began. */
  #limitBefore = Infinity;
  /** Running attempts of this generation. */
  #running = 0;
  /** The limit of concurrent calls while closed; Infinity: no ramp. */
  #limit = Infinity;
  /** A failure has occurred in this ramp; until then it grows fast. */
  #isCautious = false;
  /** Successes still needed to end the ramp; restarts whenever the limit is reached. */
  #successesNeeded = 0;

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

  /** True while it is closed but admits a limited number of calls after a recovery. */
  get isRamping(): boolean {
    return this.#state === 'closed' && this.#limit < Infinity;
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
    return at === WHEN_SETTLED ? at : Math.max(at, this.#sources.blockedUntil(need?.source));
  }

  reserve(now: Instant, { source }: Need): number {
    const isTrial = this.#sources.reserve(now, source);
    if (this.#state === 'open') this.#enter('half-open');
    if (++this.#running >= this.#limit) this.#successesNeeded = this.#limit + RAMP_SUCCESSES_MIN;
    return isTrial ? -this.#generation : this.#generation;
  }

  onFirstContent(now: Instant, ticket: number, need?: Need): boolean {
    this.#sources.blame.began(now, need?.source);
    if (this.#blockedInstead !== null && !isOf(this.#blockedInstead, need?.source)) this.#blockedInstead = null;
    return Math.abs(ticket) === this.#generation && !this.#isCautious && this.#raiseLimit(1);
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

  /**
   * Not null: failures of this source's request, or of its client, do not count against the target because others are served. Null: they
   * count.
   */
  soleCauseLevel(source: Source): BlameLevel | null {
    return this.#sources.blame.soleCauseLevel(source);
  }

  /** How much longer this source alone is blocked, in milliseconds; 0: it is not. */
  heldForMs(now: Instant, source: Source | undefined): number {
    return Math.max(0, this.#sources.blockedUntil(source) - now);
  }

  /** A request skips this target, or waits, because it is open. True if a probe is allowed sooner because of it. */
  noteSkipped(): boolean {
    if (this.#state !== 'open') return false;
    if (++this.#skipped < SKIPPED_MIN || this.#hasDemand) return false;
    this.#hasDemand = true;
    return this.#probeWithDemandAt < this.#openUntil;
  }

  /** The target asked for a longer pause; a shorter one changes nothing. */
  extend(until: Instant): void {
    if (this.#state !== 'open') return;
    this.#openUntil = Math.max(this.#openUntil, until);
    this.#probeWithDemandAt = Math.max(this.#probeWithDemandAt, until);
  }

  /** Opens it by hand, until `reset`. */
  isolate(): void {
    this.#enter('isolated');
  }

  /** Closes it by hand and clears its history. */
  reset(): void {
    this.#openings = 0;
    this.#sources.blame.clear();
    this.#close();
  }

  /**
   * The state to restore after a restart; null while closed. A running probe cannot be awaited over a restart, so half-open is saved as
   * open and due.
   */
  save(now: Instant, epochMs: number): BreakerRecord | null {
    const openings = this.#openings;
    if (this.#state === 'closed') return null;
    if (this.#state === 'isolated') return { state: 'isolated', openUntilEpochMs: 0, missedUntilEpochMs: 0, openings };
    const openUntilEpochMs = epochMs + (this.#openUntil - now);
    const missedUntilEpochMs = epochMs + (this.#probeWithDemandAt - now);
    return { state: 'open', openUntilEpochMs, missedUntilEpochMs, openings };
  }

  restore(now: Instant, epochMs: number, record: BreakerRecord): void {
    this.#enter(record.state);
    this.#openings = record.openings;
    const latest = now + this.#options.maxOpenForMs;
    this.#openUntil = Math.min(now + (record.openUntilEpochMs - epochMs), latest);
    this.#probeWithDemandAt = Math.min(now + (record.missedUntilEpochMs - epochMs), this.#openUntil);
  }

  /**
   * Applies the state that another instance has found, as saved at `epochMs`; null: it is closed, so this one closes and ramps. That
   * instance may probe first: here a probe is allowed `laterMs` later. False: it stays isolated, which only a reset by hand ends.
   */
  adopt(now: Instant, epochMs: number, record: BreakerRecord | null, laterMs: number, isReset = false): boolean {
    if (this.#state === 'isolated' && record?.state !== 'isolated' && !isReset) return false;
    if (record !== null) {
      this.restore(now, epochMs, record);
      this.#openUntil += laterMs;
      this.#probeWithDemandAt += laterMs;
      return true;
    }
    if (this.#state === 'closed') return true;
    this.#close();
    this.#ramp();
    return true;
  }

  get #opensAt(): Instant {
    return this.#hasDemand ? this.#probeWithDemandAt : this.#openUntil;
  }

  #earliest(now: Instant, need: Need | undefined): Instant {
    switch (this.#state) {
      case 'closed':
        return this.#running < this.#limit ? now : WHEN_SETTLED;
      case 'open':
        return Math.max(now, this.#probeAt(now, need));
      case 'half-open':
        return this.#running < this.#options.probes ? Math.max(now, this.#probeAt(now, need)) : WHEN_SETTLED;
      case 'isolated':
        return Infinity;
    }
  }

  /** A probe preferably comes from a source that does not fail. Without a source: the earliest instant over all sources. */
  #probeAt(now: Instant, need: Need | undefined): Instant {
    const at = this.#opensAt;
    if (need === undefined) return at;
    const { source } = need;
    if (this.#openedBy !== null && this.#openedBy !== source?.client) return Math.min(at, this.#openedAt + SECOND_SOURCE_MS);
    return now < at + YIELD_PROBE_MS && this.#sources.shouldYield(now, source) ? at + YIELD_PROBE_MS : at;
  }

  /** True if one client's failures opened it, and this source is another client that probes it early. */
  #isSecondSource(now: Instant, source: Source | undefined): boolean {
    return source !== undefined && this.#openedBy !== null && this.#openedBy !== source.client && now < this.#opensAt;
  }

  #settleClosed(now: Instant, source: Source | undefined, isSuccess: boolean): void {
    if (isSuccess) {
      this.#sources.served(now, source);
      this.#window.record(now, false);
      this.#consecutive = 0;
      this.#run++;
      if (this.#blockedInstead !== null && !isOf(this.#blockedInstead, source)) this.#blockedInstead = null;
      return this.#recordSuccess();
    }
    if (!this.#sources.failed(now, source, this.#window, this.#run)) return this.#sources.blockIfFailing(now, source);
    this.#window.record(now, true);
    if (++this.#consecutive === 1) this.#limitBefore = this.#limit;
    this.#limit = Math.max(1, this.#limit - 1);
    this.#isCautious = true;
    if (this.#blockedInstead !== null && !isOf(this.#blockedInstead, source)) {
      this.#blockedInstead = this.#sources.blockClientOf(now, this.#blockedInstead, source, this.#window);
      return this.#blockedInstead === null ? this.#open(now) : undefined;
    }
    if (!this.#mustOpen(now)) return;
    const { consecutiveFailures } = this.#options;
    const isByRun = this.#consecutive >= Math.max(consecutiveFailures, this.isRamping ? this.#limitBefore : 0);
    const suspect = this.#sources.blockOnlySource(now, { window: this.#window, consecutive: this.#consecutive, run: this.#run, isByRun });
    if (suspect === null) return this.#open(now);
    this.#consecutive -= this.#sources.runFailuresOf(suspect, this.#run);
    this.#blockedInstead = suspect;
  }

  /**
   * A probe of a source that was already failing is weak evidence: that source is blocked, and another one probes. A second failing source
   * opens the breaker again.
   */
  #settleProbe(now: Instant, source: Source | undefined, isSuccess: boolean): void {
    if (isSuccess) return this.#closeByProbe(now, source);
    const wasFailing = this.#sources.shouldYield(now, source);
    const isCounted = this.#sources.failed(now, source, this.#window, this.#run);
    if (this.#blockedInstead !== null && isOf(this.#blockedInstead, source)) return;
    if (this.#blockedInstead === null && (wasFailing || !isCounted)) {
      this.#blockedInstead = this.#sources.block(now, source);
      return;
    }
    if (this.#isSecondSource(now, source)) this.#openings--; // the same outage
    if (source?.client !== this.#openedBy) this.#openedBy = null;
    this.#reopen(now);
  }

  #closeByProbe(now: Instant, source: Source | undefined): void {
    this.#close();
    this.#sources.served(now, source);
    this.#window.record(now, false);
    this.#sources.blockContradicted(now);
    this.#ramp();
  }

  #ramp(): void {
    this.#limit = this.#options.probes + 1;
    this.#successesNeeded = RAMP_SUCCESSES_MIN;
  }

  #recordSuccess(): void {
    if (!this.#raiseLimit(this.#isCautious ? CAREFUL_STEP : 1)) return;
    if (--this.#successesNeeded > 0) return;
    this.#limit = Infinity;
    this.#openings = 0;
  }

  #raiseLimit(by: number): boolean {
    if (!this.isRamping) return false;
    this.#limit += by;
    return true;
  }

  #mustOpen(now: Instant): boolean {
    const { consecutiveFailures, failureRatio, minRequests } = this.#options;
    const isAboveRatio = this.#window.failureRatio(now) >= failureRatio;
    if (!this.isRamping)
      return (this.#consecutive >= consecutiveFailures && !this.#isChance(now)) || (isAboveRatio && this.#window.count(now) >= minRequests);
    if (this.#consecutive >= Math.max(consecutiveFailures, this.#limitBefore)) return true;
    return isAboveRatio && this.#window.failures >= RAMP_FAILURES_MIN;
  }

  #isChance(now: Instant): boolean {
    const length = this.#consecutive;
    const before = this.#window.count(now) - length;
    if (before < this.#options.minRequests) return false;
    return isChance({ length, before, failuresBefore: this.#window.failures - length, running: this.#running });
  }

  #open(now: Instant): void {
    this.#openedBy = this.#sources.onlyClient(now, this.#window.failures);
    this.#reopen(now);
  }

  #reopen(now: Instant): void {
    this.#blockedInstead = null;
    this.#sources.clearContradictions();
    this.#openedAt = now;
    this.#openings++;
    this.#hasDemand = this.#openings > 1 && this.#skipped >= SKIPPED_MIN;
    this.#skipped = 0;
    const { openForMs } = this.#options;
    const grownMs = grownOpenMs(this.#options, this.#openings);
    const jitter = drawJitter(this.#random);
    this.#openUntil = now + grownMs * jitter;
    this.#probeWithDemandAt = now + Math.min(grownMs, Math.max(openForMs, SKIPPED_OPEN_MS)) * jitter;
    this.#enter('open');
  }

  #close(): void {
    this.#consecutive = 0;
    this.#run++;
    this.#openedBy = this.#blockedInstead = null;
    this.#window.clear();
    this.#sources.clearCounted();
    this.#enter('closed');
  }

  #enter(state: BreakerState): void {
    this.#state = state;
    this.#generation++;
    this.#running = 0;
    this.#limit = Infinity;
    this.#isCautious = false;
  }
}
