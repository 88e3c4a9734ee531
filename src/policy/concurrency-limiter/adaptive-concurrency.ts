/**
 * How many calls a target takes at once, inferred from its responses.
 *
 * There is no limit until there is a sign of too much. There are two. After an overload response (overloaded, busy, silent for too
 * long) a fifth fewer run. And where the time to first content rises while more run than before, and only then, the limit
 * goes down with it until the rise is a twentieth: a target that is slow for its own reasons is slow with few calls too, and that is told
 * apart by letting fewer run for a moment now and then. The time of a whole response says nothing: it is as long as the response.
 * A rise that stays under a second is no sign unless the target has reported an overload, and none is where the config sets a limit.
 *
 * The limit grows by one for as many responses as it lets run, and only while requests wait for it; back to where the last
 * refusal came it grows by one for each response.
 *
 * A limit must not keep itself alive by keeping out what would disprove it. So one call a second starts whatever runs; if as many run as
 * when the time to first content had risen, and the trials are as fast as with few, the rise lay in something else, such as a burst of
 * prompts that are processed one after the other. And a limit without a new sign is forgotten by the clock. Calls whose caller reads
 * nothing hold no place.
 */
import { assert } from '../../core/assert.ts';
import type { Instant } from '../../core/clock.ts';
import type { Resource } from '../../core/resource.ts';
import { LatencyByLoad } from './latency-by-load.ts';

/** After a refusal. */
const BACK_OFF = 0.8;
/** A refusal with far fewer at once than allowed says little of how many may be. */
const FEWEST = 0.5;
/** One refusal alone may be anything: it does not go below this. */
const FIRST_FLOOR = 8;
/** Refusals further apart than this have nothing to do with each other. */
const TOGETHER_MS = 60_000;
/** A rise alone does not go below this: it is no refusal. */
const RISE_FLOOR = 4;
/** The rise that is aimed at, as a logarithm: a twentieth. */
const AIM = 0.05;
const GAIN = 0.5;
const STEP_MAX = 0.4;
/** Before there is a limit: the rise must be this, beyond what chance can do (three standard errors). */
const SIGN = Math.log(1.3);
const ERRORS = 3;
/** With a limit: so many errors more than aimed at are taken for a rise. Chance must not wear down the limit of a healthy target. */
const ERRORS_LIMITED = 0.4;
/** Observations that one decision stands on: half as many as run, within these. */
const BATCH_MIN = 12;
const BATCH_MAX = 60;
/** That what they are compared with has to stand on. */
const BASE_MIN = 20;
/** What is compared with: fewer calls at once than this share of them. */
const FEWER = 0.8;
/** Growth with each decision that finds no rise; and where there are none, with each answer, but at least by one for all that run. */
const GROWTH = 0.03;
/** A decision holds for so long. */
const DECISION_MS = 30_000;
/** With so much fewer calls than at the sign the rise must have gone down too, by this part of what it would if it lay in them alone. */
const PROOF_SHARE = 0.6;
const PROOF_FALL = 0.3;
/** Near enough to the limit to say something of it. */
const NEAR = 0.85;
/** So often, and for so long at most, fewer run. */
const DIP_EVERY_MS = 20_000;
const DIP_MS = 5_000;
const DIP_SHARE = 0.7;
const DIP_SAMPLES = 8;
/** Without a new sign for so long it is dropped. */
const FORGET_MS = 10 * 60_000;
/** A shorter time to first content is no sign of too much. */
const FIRST_CONTENT_FLOOR_MS = 1_000;
/** After so long without a start one call starts whatever runs. */
const TRIAL_EVERY_MS = 1_000;
/** So many trials with nearly as many calls as at the sign disprove it if of its rise no more than this part is left. */
const TRIALS = 3;
const TRIAL_RUNNING_SHARE = 0.8;
const TRIAL_RISE_LEFT = 0.3;
/** After that a rise is no sign for so long, twice as long each time. */
const DISTRUST_MS = 60_000;
const DISTRUST_MAX_MS = 15 * 60_000;
/** A call whose caller has taken nothing for so long holds no place. */
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
  /** Before the newest ticket: it may be taken back. */
  #startBefore: Instant = -Infinity;
  /** Since when callers of running calls take nothing, by ticket, the longest first. */
  readonly #unread = new Map<number, Instant>();
  /** The config sets a limit: latency is no sign beside it. */
  #isConfigured = false;
  readonly #latency = new LatencyByLoad();
  /** What the last refusal came at: up to near it the limit grows fast. */
  #refusedAt = 0;
  #servedSince = true;
  #changedAt: Instant = -Infinity;
  #lastSignAt: Instant = -Infinity;
  #lastRefusalAt: Instant = -Infinity;
  /** Somebody had to wait since the last decision. */
  #binding = false;
  #boundAt: Instant = -Infinity;
  #batchExcess = 0;
  #batchRunning = 0;
  #batchCount = 0;
  #batchLogMs = 0;
  /** How many ran, and how much longer than usual it took, when the limit was made of a rise. */
  #riseRunning = 0;
  #riseExcess = 0;
  /** Trials since then with nearly as many calls. */
  #trials = 0;
  #trialExcess = 0;
  #distrustMs = 0;
  #distrustedUntil: Instant = -Infinity;
  /** The last decision found the rise that is aimed at, or more. */
  #isRisen = false;
  /** The limit stands on a rise, and not on refusals alone. */
  #isByRise = false;
  #decidedAt: Instant = -Infinity;
  /** What was found when a rise first led to a limit; 0: that was proven, or there was none. */
  #signRunning = 0;
  #signExcess = 0;
  /** There is too little to compare with. */
  #lacksBase = false;
  #dipSince: Instant | null = null;
  #dipCount = 0;
  #dippedAt: Instant = -Infinity;

  constructor(id: string) {
    this.id = id;
  }

  /** Infinity: it limits nobody. */
  get limit(): number {
    return this.#limit === Infinity ? Infinity : Math.max(1, Math.floor(this.#limit));
  }

  get inUse(): number {
    return this.#inUse;
  }

  available(): number {
    return this.limit - this.#inUse;
  }

  /** The config sets a limit for the target, or does not any more. */
  configure(isConfigured: boolean): void {
    this.#isConfigured = isConfigured;
    if (isConfigured && this.#isByRise) this.reset();
  }

  /** Calls that run and whose callers take what comes. */
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

  /** The caller of a running call takes nothing, or takes again what comes. */
  setUnread(now: Instant, ticket: number, isUnread: boolean): void {
    if (!isUnread) this.#unread.delete(ticket);
    else if (!this.#unread.has(ticket)) this.#unread.set(ticket, now);
  }

  /** A response has begun. `running`: how many ran when its call started, itself among them. */
  served(now: Instant, startedAt: Instant, running = 0): void {
    if (this.#limit === Infinity) return;
    // So many can run after all.
    if (!this.#isByRise && startedAt > this.#changedAt) this.#limit = Math.max(this.#limit, running);
    if (startedAt > this.#changedAt) this.#servedSince = true;
    if (this.#limit < NEAR * this.#refusedAt) this.#grow(1);
    else if (now - this.#decidedAt > DECISION_MS) this.#grow(Math.max(1 / this.#limit, GROWTH));
    if (this.#isForgotten(now)) this.reset();
  }

  /**
   * A stream's first content has come. `kind`: calls of a kind take about as long as each other, below 64; `running`: how many ran when
   * it started, itself among them.
   */
  began(now: Instant, startedAt: Instant, kind: number, running: number, firstContentMs: number): void {
    if (this.#isConfigured) return;
    const excess = this.#latency.record(kind, running, firstContentMs);
    this.#dip(now, running);
    if (this.#isRiseDisproved(now, startedAt, running, excess)) return;
    if (this.#limit !== Infinity && (startedAt <= this.#changedAt || running < NEAR * this.#limit)) return;
    this.#batchExcess += excess;
    this.#batchRunning += running;
    this.#batchLogMs += Math.log(Math.max(1, firstContentMs));
    if (++this.#batchCount >= Math.min(BATCH_MAX, Math.max(BATCH_MIN, running / 2))) this.#decide(now);
  }

  /** The target reports an overload, or is silent for too long, which says no more than latency does. */
  refused(now: Instant, startedAt: Instant, running: number, isSilence = false): void {
    if (startedAt <= this.#changedAt || (isSilence && this.#isConfigured)) return;
    if (running > this.limit) {
      this.#lastSignAt = now; // a trial has confirmed the limit
      return;
    }
    const isFirst = now - this.#lastRefusalAt > TOGETHER_MS;
    this.#lastRefusalAt = now;
    // In a row of refusals without any answer the first tells where there was too much; the others tell of an outage.
    if (!this.#servedSince) return;
    const at = this.#limit === Infinity ? Math.max(1, running) : Math.min(this.#limit, Math.max(1, running, FEWEST * this.#limit));
    this.#refusedAt = at;
    this.#servedSince = false;
    this.#set(now, Math.max(isFirst ? FIRST_FLOOR : 1, at * BACK_OFF));
  }

  /** Nothing is known any more but how many run. */
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

  /** A dip ends in time even if no stream begins any more that could show something. */
  #allowed(now: Instant): number {
    const isDipping = this.#dipSince !== null && now - this.#dipSince < DIP_MS;
    return isDipping ? Math.max(1, Math.floor(this.#limit * DIP_SHARE)) : this.limit;
  }

  #release(ticket: number): void {
    assert(this.#inUse > 0, 'a concurrency place is given back once');
    this.#inUse--;
    this.#unread.delete(ticket);
  }

  #isForgotten(now: Instant): boolean {
    return now - this.#lastSignAt > FORGET_MS;
  }

  /** Nearly as many run as at the sign, and what starts now is as fast as with few: the rise did not lie in how many run. */
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

  /** For whoever has to wait. */
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
      if (weight < BASE_MIN || rise < SIGN + ERRORS * error || now < this.#distrustedUntil) return;
      if (usualMs < FIRST_CONTENT_FLOOR_MS && now - this.#lastRefusalAt > FORGET_MS) return;
      this.#isByRise = true;
      this.#riseRunning = running;
      this.#riseExcess = excess;
      this.#trials = 0;
      this.#trialExcess = 0;
      this.#dippedAt = now;
      this.#signRunning = running;
      this.#signExcess = excess;
      return this.#set(now, Math.max(RISE_FLOOR, running * Math.exp(AIM - rise)));
    }
    this.#binding = wasBinding && this.#inUse >= NEAR * this.#limit;
    this.#lacksBase = weight < BASE_MIN;
    const tooMuch = rise - AIM - ERRORS_LIMITED * error;
    this.#isRisen = !this.#lacksBase && tooMuch > 0;
    if (this.#isDisproved(running, excess)) return this.#startOver();
    if (!this.#lacksBase) this.#decidedAt = now;
    if (!this.#isRisen) return this.#lacksBase ? undefined : this.#grow(GROWTH * this.#limit);
    this.#lastSignAt = now;
    if (this.#limit <= RISE_FLOOR) return;
    this.#isByRise = true;
    this.#refusedAt = 0; // where the last refusal came is too much
    this.#set(now, Math.max(RISE_FLOOR, this.#limit * Math.exp(-Math.min(STEP_MAX, GAIN * tooMuch))));
    this.#binding = wasBinding;
  }

  /** Far fewer run than at the sign, and it is as slow as then: it does not lie in how many run. */
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

  /** Lets fewer run for a moment, to see what the target does when it is not at its limit. */
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
