/**
 * The number of calls that a target can run at once, inferred from its responses.
 *
 * ## Signs of overload
 *
 * There is no limit until one of two signs appears. After an overload response (overloaded, busy, or silence beyond the timeout) the limit
 * is four fifths of the running calls. And where the time to first content rises with the number of running calls, the limit falls until
 * that rise is 5 %. A target that is slow for another reason is slow with few calls too; short dips in concurrency distinguish the two. The
 * duration of a whole response is no sign, because it depends on its length. A rise below a second is no sign unless the target has
 * reported an overload. Where the config sets a limit, no rise is a sign.
 *
 * ## Growth
 *
 * The limit grows only while requests wait for it: by one for every `limit` responses, and by one for each response until it is near the
 * concurrency of the last refusal.
 *
 * ## Correction
 *
 * A limit must not prevent the calls that would disprove it. So one call a second is admitted regardless of the limit. If as many calls run
 * as at the sign, and these trials are as fast as calls under low load, the rise had another cause, such as a burst of prompts that were
 * processed one after the other. A limit without a new sign expires. Calls whose caller has stopped reading do not count.
 */
import { assert } from '../../core/assert.ts';
import type { Instant } from '../../core/clock.ts';
import type { Resource } from '../../core/resource.ts';
import { LatencyByLoad } from './latency-by-load.ts';

/** Factor after a refusal. */
const BACK_OFF = 0.8;
/** A refusal at a concurrency far below the limit is weak evidence: the limit falls to no less than this share. */
const FEWEST = 0.5;
/** A single refusal may have any cause: the limit falls to no less than this. */
const FIRST_FLOOR = 8;
/** Refusals further apart than this are unrelated. */
const TOGETHER_MS = 60_000;
/** A rise alone lowers the limit to no less than this. */
const RISE_FLOOR = 4;
/** The rise to aim for, as a logarithm: 5 %. */
const AIM_RISE = 0.05;
const GAIN = 0.5;
const STEP_MAX = 0.4;
/** Without a limit: the least rise that is a sign, in addition to three standard errors. */
const SIGN_RISE = Math.log(1.3);
const SIGN_ERRORS = 3;
/**
 * With a limit: the standard errors above the aim that count as a rise. Low, but high enough that noise does not erode the limit of a
 * healthy target.
 */
const ERRORS_LIMITED = 0.4;
/** Observations for one decision: half as many as calls run, within these bounds. */
const BATCH_MIN = 12;
const BATCH_MAX = 60;
/** Observations that the baseline needs. */
const BASE_MIN = 20;
/** The baseline: observations below this share of the running calls. */
const FEWER = 0.8;
/** Growth per decision without a rise; without decisions, per response, but then by at least one for every `limit` responses. */
const GROWTH = 0.03;
/** A decision is valid for this long. */
const DECISION_MS = 30_000;
/**
 * At up to this share of the concurrency at the sign, the rise must have fallen by this part of what it would fall by if load were its only
 * cause.
 */
const PROOF_SHARE = 0.6;
const PROOF_FALL = 0.3;
/** From this share of the limit on, concurrency counts as at the limit. */
const NEAR_SHARE = 0.85;
/** The interval between dips, and their longest duration. */
const DIP_EVERY_MS = 20_000;
const DIP_MS = 5_000;
const DIP_SHARE = 0.7;
const DIP_SAMPLES = 8;
/** A limit without a new sign expires after this long. */
const FORGET_MS = 10 * 60_000;
/** A shorter time to first content is no sign of overload. */
const FIRST_CONTENT_FLOOR_MS = 1_000;
/** After this long without a start one call is admitted regardless of the limit. */
const TRIAL_EVERY_MS = 1_000;
/** This many trials, at nearly the concurrency of the sign, disprove the limit if at most this part of the rise remains. */
const TRIALS = 3;
const TRIAL_RUNNING_SHARE = 0.8;
const TRIAL_RISE_LEFT = 0.3;
/** After that a rise is no sign for this long, doubled each time. */
const DISTRUST_MS = 60_000;
const DISTRUST_MAX_MS = 15 * 60_000;
/** A call whose caller has read nothing for this long does not count. */
const UNREAD_MS = 5_000;

export interface ConcurrencyLevel {
  readonly limit: number;
  readonly epochMs: number;
}

export class AdaptiveConcurrency implements Resource {
  readonly id: string;
  readonly kind = 'concurrency';
  #limit = Infinity;
  #inUse = 0;
  #lastTicket = 0;
  #lastStartAt: Instant = -Infinity;
  /** The last start before the newest ticket, restored if that one is cancelled. */
  #startBefore: Instant = -Infinity;
  /** Since when callers of running calls have stopped reading, by ticket, the longest first. */
  readonly #unread = new Map<number, Instant>();
  /** The config sets a limit, so latency is no sign. */
  #isConfigured = false;
  readonly #latency = new LatencyByLoad();
  /** Concurrency at the last refusal; growth is fast until near it. */
  #refusedAt = 0;
  #servedSince = true;
  #changedAt: Instant = -Infinity;
  #lastSignAt: Instant = -Infinity;
  #lastRefusalAt: Instant = -Infinity;
  /** A request has waited since the last decision. */
  #binding = false;
  #boundAt: Instant = -Infinity;
  #batchExcess = 0;
  #batchRunning = 0;
  #batchCount = 0;
  #batchLogMs = 0;
  /** Concurrency and excess latency when a rise set the limit. */
  #riseRunning = 0;
  #riseExcess = 0;
  /** Trials since then at nearly that concurrency. */
  #trials = 0;
  #trialExcess = 0;
  #distrustMs = 0;
  #distrustedUntil: Instant = -Infinity;
  /** The last decision found at least the rise to aim for. */
  #isRisen = false;
  /** The limit is based on a rise, not on refusals alone. */
  #isByRise = false;
  #decidedAt: Instant = -Infinity;
  /** Concurrency and excess latency when a rise first set a limit; 0: it was confirmed, or there was none. */
  #signRunning = 0;
  #signExcess = 0;
  /** The baseline lacks observations. */
  #lacksBase = false;
  #dipSince: Instant | null = null;
  #dipCount = 0;
  #dippedAt: Instant = -Infinity;

  constructor(id: string) {
    this.id = id;
  }

  /** Infinity: no limit. */
  get limit(): number {
    return this.#limit === Infinity ? Infinity : Math.max(1, Math.floor(this.#limit));
  }

  get inUse(): number {
    return this.#inUse;
  }

  available(): number {
    return this.limit - this.#inUse;
  }

  /** Whether the config sets a limit for the target. */
  configure(isConfigured: boolean): void {
    this.#isConfigured = isConfigured;
    if (isConfigured && this.#isByRise) this.reset();
  }

  /** Running calls whose callers are reading. */
  running(now: Instant): number {
    let unread = 0;
    for (const since of this.#unread.values()) {
      if (now - since < UNREAD_MS) break;
      unread++;
    }
    return this.#inUse - unread;
  }

  earliest(now: Instant): Instant {
    if (this.#limit === Infinity || this.#isForgotten(now)) return now;
    const allowed = this.#allowed(now);
    if (this.#inUse < allowed || this.running(now) < allowed) return now;
    return Math.max(now, this.#lastStartAt + TRIAL_EVERY_MS);
  }

  reserve(now: Instant): number {
    if (this.#limit !== Infinity && this.#isForgotten(now)) this.reset();
    this.#inUse++;
    this.#startBefore = this.#lastStartAt;
    this.#lastStartAt = now;
    if (this.#inUse >= this.#allowed(now)) {
      this.#binding = true;
      this.#boundAt = now;
    }
    return ++this.#lastTicket;
  }

  settle(_now: Instant, ticket: number): void {
    this.#release(ticket);
  }

  cancel(_now: Instant, ticket: number): void {
    if (ticket === this.#lastTicket) this.#lastStartAt = this.#startBefore;
    this.#release(ticket);
  }

  /** The caller of a running call stops or resumes reading. */
  setUnread(now: Instant, ticket: number, isUnread: boolean): void {
    if (!isUnread) this.#unread.delete(ticket);
    else if (!this.#unread.has(ticket)) this.#unread.set(ticket, now);
  }

  /** A response has started. `running`: how many calls ran when its call started, including it. */
  served(now: Instant, startedAt: Instant, running = 0): void {
    if (this.#limit === Infinity) return;
    // The target can run that many after all.
    if (!this.#isByRise && startedAt > this.#changedAt) this.#limit = Math.max(this.#limit, running);
    if (startedAt > this.#changedAt) this.#servedSince = true;
    if (this.#limit < NEAR_SHARE * this.#refusedAt) this.#grow(1);
    else if (now - this.#decidedAt > DECISION_MS) this.#grow(Math.max(1 / this.#limit, GROWTH));
    if (this.#isForgotten(now)) this.reset();
  }

  /**
   * The first content of a stream has arrived. `kind`: a group of calls with similar latency, below 64; `running`: how many calls ran when
   * its call started, including it.
   */
  began(now: Instant, startedAt: Instant, kind: number, running: number, firstContentMs: number): void {
    if (this.#isConfigured) return;
    const excess = this.#latency.record(kind, running, firstContentMs);
    this.#dip(now, running);
    if (this.#isRiseDisproved(now, startedAt, running, excess)) return;
    if (this.#limit !== Infinity && (startedAt <= this.#changedAt || running < NEAR_SHARE * this.#limit)) return;
    this.#batchExcess += excess;
    this.#batchRunning += running;
    this.#batchLogMs += Math.log(Math.max(1, firstContentMs));
    if (++this.#batchCount >= Math.min(BATCH_MAX, Math.max(BATCH_MIN, running / 2))) this.#decide(now);
  }

  /** The target reports an overload, or is silent beyond the timeout, which is evidence like latency. */
  refused(now: Instant, startedAt: Instant, running: number, isSilence = false): void {
    if (startedAt <= this.#changedAt || (isSilence && this.#isConfigured)) return;
    if (running > this.limit) {
      this.#lastSignAt = now; // a trial has confirmed the limit
      return;
    }
    const isFirst = now - this.#lastRefusalAt > TOGETHER_MS;
    this.#lastRefusalAt = now;
    // In a series of refusals without any response only the first shows the limit; the others are an outage.
    if (!this.#servedSince) return;
    const at = this.#limit === Infinity ? Math.max(1, running) : Math.min(this.#limit, Math.max(1, running, FEWEST * this.#limit));
    this.#refusedAt = at;
    this.#servedSince = false;
    this.#set(now, Math.max(isFirst ? FIRST_FLOOR : 1, at * BACK_OFF));
  }

  /** Drops everything learned; running calls still count. */
  reset(): void {
    this.#limit = Infinity;
    this.#refusedAt = 0;
    this.#isByRise = false;
    this.#isRisen = false;
    this.#lacksBase = false;
    this.#signRunning = 0;
    this.#riseRunning = 0;
    this.#decidedAt = -Infinity;
    this.#binding = false;
    this.#dipSince = null;
    this.#clearBatch();
  }

  save(epochMs: number): ConcurrencyLevel | null {
    return this.#limit === Infinity ? null : { limit: Math.round(this.#limit), epochMs };
  }

  restore(now: Instant, epochMs: number, saved: ConcurrencyLevel): void {
    if (epochMs - saved.epochMs > FORGET_MS || !(saved.limit >= 1)) return;
    this.#set(now, saved.limit);
    this.#refusedAt = saved.limit;
  }

  /** A dip ends in time even without further observations. */
  #allowed(now: Instant): number {
    const isDipping = this.#dipSince !== null && now - this.#dipSince < DIP_MS;
    return isDipping ? Math.max(1, Math.floor(this.#limit * DIP_SHARE)) : this.limit;
  }

  #release(ticket: number): void {
    assert(this.#inUse > 0, 'a concurrency slot is released once');
    this.#inUse--;
    this.#unread.delete(ticket);
  }

  #isForgotten(now: Instant): boolean {
    return now - this.#lastSignAt > FORGET_MS;
  }

  /** Nearly as many calls run as at the sign, and new ones are as fast as under low load: load did not cause the rise. */
  #isRiseDisproved(now: Instant, startedAt: Instant, running: number, excess: number): boolean {
    if (this.#riseRunning === 0 || startedAt <= this.#changedAt || running < TRIAL_RUNNING_SHARE * this.#riseRunning) return false;
    this.#trialExcess += excess;
    if (++this.#trials < TRIALS) return false;
    const { mean } = this.#latency.upTo(this.#riseRunning * FEWER);
    const left = this.#trialExcess / this.#trials - mean;
    this.#trials = 0;
    this.#trialExcess = 0;
    if (left > TRIAL_RISE_LEFT * (this.#riseExcess - mean)) return false;
    this.#distrustMs = Math.min(DISTRUST_MAX_MS, Math.max(DISTRUST_MS, 2 * this.#distrustMs));
    this.#distrustedUntil = now + this.#distrustMs;
    this.#startOver();
    return true;
  }

  /** Only while requests wait. */
  #grow(by: number): void {
    if (this.#binding) this.#limit += by;
  }

  #decide(now: Instant): void {
    const [excess, running, count] = [this.#batchExcess / this.#batchCount, this.#batchRunning / this.#batchCount, this.#batchCount];
    const usualMs = Math.exp(this.#batchLogMs / this.#batchCount);
    const wasBinding = this.#binding;
    this.#clearBatch();
    const { mean, weight } = this.#latency.upTo(running * FEWER);
    const error = this.#latency.noise * Math.sqrt(1 / count + 1 / Math.max(1, weight));
    const rise = excess - mean;
    if (this.#limit === Infinity) {
      if (weight < BASE_MIN || rise < SIGN_RISE + SIGN_ERRORS * error || now < this.#distrustedUntil) return;
      if (usualMs < FIRST_CONTENT_FLOOR_MS && now - this.#lastRefusalAt > FORGET_MS) return;
      this.#isByRise = true;
      this.#riseRunning = running;
      this.#riseExcess = excess;
      this.#trials = 0;
      this.#trialExcess = 0;
      this.#dippedAt = now;
      this.#signRunning = running;
      this.#signExcess = excess;
      return this.#set(now, Math.max(RISE_FLOOR, running * Math.exp(AIM_RISE - rise)));
    }
    this.#binding = wasBinding && this.#inUse >= NEAR_SHARE * this.#limit;
    this.#lacksBase = weight < BASE_MIN;
    const tooMuch = rise - AIM_RISE - ERRORS_LIMITED * error;
    this.#isRisen = !this.#lacksBase && tooMuch > 0;
    if (this.#isDisproved(running, excess)) return this.#startOver();
    if (!this.#lacksBase) this.#decidedAt = now;
    if (!this.#isRisen) return this.#lacksBase ? undefined : this.#grow(GROWTH * this.#limit);
    this.#lastSignAt = now;
    if (this.#limit <= RISE_FLOOR) return;
    this.#isByRise = true;
    this.#refusedAt = 0; // the last refusal came above the right limit
    this.#set(now, Math.max(RISE_FLOOR, this.#limit * Math.exp(-Math.min(STEP_MAX, GAIN * tooMuch))));
    this.#binding = wasBinding;
  }

  /** Far fewer calls run than at the sign, and latency is the same: load is not the cause. */
  #isDisproved(running: number, excess: number): boolean {
    if (this.#signRunning === 0 || running > PROOF_SHARE * this.#signRunning) return false;
    const fall = PROOF_FALL * Math.log(this.#signRunning / running);
    this.#signRunning = 0;
    return excess > this.#signExcess - fall;
  }

  #startOver(): void {
    this.reset();
    this.#latency.reset();
  }

  #set(now: Instant, limit: number): void {
    this.#limit = limit;
    this.#changedAt = now;
    this.#lastSignAt = now;
    this.#clearBatch();
  }

  #clearBatch(): void {
    this.#batchExcess = 0;
    this.#batchRunning = 0;
    this.#batchCount = 0;
    this.#batchLogMs = 0;
  }

  /** Lowers concurrency for a moment, to observe the target below its limit. */
  #dip(now: Instant, running: number): void {
    if (this.#limit === Infinity || !(this.#isByRise || this.#lacksBase)) return;
    if (this.#dipSince !== null) {
      if (running <= FEWER * this.#limit) this.#dipCount++;
      if (this.#dipCount < DIP_SAMPLES && now - this.#dipSince < DIP_MS) return;
      this.#dipSince = null;
      this.#dippedAt = now;
    } else if (now - this.#dippedAt > DIP_EVERY_MS && now - this.#boundAt < DIP_EVERY_MS) {
      this.#dipSince = now;
      this.#dipCount = 0;
    }
  }
}
