/**
 * What is learned of a provider's limits on requests, or on tokens, where nobody has configured them. It is a resource of every
 * target of its scope from the start, and limits nobody until something is known. Three things are, one after the other:
 *
 *   unheard   before the first answer has begun, so that a cold start does not run blindly into a limit: a first flight of some
 *             calls, and some more each second, until the first of them has been answered
 *   told      the provider's words in its headers: a bucket of that limit, whose level is kept near to what they say remains
 *             (`told-limits.ts`)
 *   paced     where nothing is told and refusals depend on the rate (`refusal-test.ts`), or what is told had room for the call (others
 *             use the same key): a rate that backs off and grows again (`paced-rate.ts`)
 */
import type { Instant } from '../../core/clock.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { AcceptedCount } from './accepted-count.ts';
import { PacedRate } from './paced-rate.ts';
import type { PacedLevel } from './paced-rate.ts';
import { RefusalTest } from './refusal-test.ts';
import type { ToldLevel, ToldWord } from './told-limit.ts';
import { ToldLimits } from './told-limits.ts';
import type { ToldOptions } from './told-limits.ts';

export interface LearnedRateOptions extends ToldOptions {
  readonly id: string;
  /** Nothing else bounds a cold start. */
  readonly startsCarefully: boolean;
  /** The config says what the limit is: refusals teach nothing beside it. */
  readonly isConfigured: boolean;
}

/** At once, and again each second, before anything is known. A need above it goes alone, and counts for a minute of it at most. */
const FIRST_FLIGHT = { requests: 16, tokens: 16_000 } as const;
const FLIGHTS_MAX = 60;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** No provider is taken to allow less than this a minute because of refusals without a word; at first not even near it. */
const PACED_MIN = { requests: 6, tokens: 3_000 } as const;
const PACED_FIRST_MIN = { requests: 30, tokens: 15_000 } as const;
const CALM_PER_MINUTE = 180;

export interface LearnedLevel {
  readonly told: readonly ToldLevel[];
  readonly paced: PacedLevel | null;
}

/** One learned limit as it is shown. */
export interface LearnedLimit {
  readonly source: 'told' | 'paced';
  readonly counts: ToldWord['counts'];
  readonly windowMs: number;
  readonly limit: number;
  readonly available: number;
}

export class LearnedRate implements Resource {
  readonly id: string;
  readonly kind: 'requests' | 'tokens';
  #options: LearnedRateOptions;
  readonly #accepted = new AcceptedCount();
  readonly #told: ToldLimits;
  #paced: PacedRate | null = null;
  /** Something was answered. */
  #heard: boolean;
  #firstStartAt: Instant | null = null;
  #inFirstFlight = 0;
  readonly #refusals = new RefusalTest();
  /** By what was told, or nothing was. */
  #isExplained = true;

  constructor(options: LearnedRateOptions) {
    this.id = options.id;
    this.kind = options.kind;
    this.#options = options;
    this.#told = new ToldLimits(options);
    this.#heard = !options.startsCarefully;
  }

  configure(options: LearnedRateOptions): void {
    this.#options = options;
    this.#told.configure(options);
    if (options.isConfigured) this.#paced = null;
    if (!options.startsCarefully) this.#heard = true;
  }

  earliest(now: Instant, need: Need): Instant {
    if (this.#heard && this.#paced === null && this.#told.isEmpty) return now;
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    const at = this.#told.isEmpty ? now : this.#told.earliest(now, input, output);
    const amount = input + output;
    if (amount <= 0) return at;
    const pacedAt = this.#paced === null ? at : Math.max(at, this.#paced.earliest(now, amount));
    return this.#heard ? pacedAt : Math.max(pacedAt, this.#flightAt(now, amount));
  }

  earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    const [aheadInput, aheadOutput] = [this.#inputOf(ahead), this.#outputOf(ahead)];
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    const toldAt = this.#told.earliestAfter(now, aheadInput, aheadOutput, input, output);
    const at = Math.max(this.earliest(now, need), toldAt);
    return this.#paced === null ? at : Math.max(at, this.#paced.earliestAfter(now, aheadInput + aheadOutput, input + output));
  }

  reserve(now: Instant, need: Need): number {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#accepted.add(now, input + output, 1);
    this.#refusals.started(now);
    this.#heedRefusals(now);
    this.#told.take(now, input, output);
    this.#paced?.take(now, input + output);
    if (!this.#heard) {
      this.#firstStartAt ??= now;
      this.#inFirstFlight += this.#flownBy(input + output);
    }
    return now;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (settlement.unsent === true) return this.cancel(now, ticket, need);
    const { usage } = settlement;
    if (usage === null || this.kind === 'requests') return;
    this.#told.giveBack(now, ticket, need.inputTokens - usage.inputTokens, need.outputTokens - usage.outputTokens);
  }

  cancel(now: Instant, ticket: number, need: Need): void {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#told.giveBack(now, ticket, input, output);
    this.#paced?.giveBack(now, input + output);
    this.#accepted.add(now, -input - output, -1);
    this.#refusals.cancelled();
    if (!this.#heard) this.#inFirstFlight -= this.#flownBy(input + output);
  }

  /** An answer has begun: what a provider does not tell of now, it did not mean to. True if somebody may start sooner. */
  served(now: Instant, startedAt: Instant, need: Need): boolean {
    this.#paced?.advance(now, this.#refusals.isTrying);
    this.#refusals.served(now, startedAt);
    this.#heedRefusals(now);
    if (!this.#told.isEmpty) this.#told.served(startedAt, this.#inputOf(need), this.#outputOf(need));
    return this.heard(now);
  }

  /** Any answer at all came, good or bad, and its words have been told. True if somebody may start sooner. */
  heard(now: Instant): boolean {
    this.#told.forgetStale(now);
    if (this.#paced?.isOutgrown === true) this.#release();
    const isNews = this.#told.isNews || !this.#heard;
    this.#heard = true;
    this.#told.isNews = false;
    return isNews;
  }

  /** Of what is told that counts input, the least; 0: nothing is. */
  get inputLimit(): number {
    return this.#told.inputLimit;
  }

  /**
   * The provider's own word; see `ToldLimit.correct`. `startedAt`: of the call with whose answer it came. Gives by how much more
   * remains than was thought; below zero: less.
   */
  tell(now: Instant, startedAt: Instant, word: ToldWord): number {
    if (this.#told.isEmpty && this.#paced !== null) this.#release();
    return this.#told.tell(now, startedAt, word);
  }

  /** The same limit as before, and no more is told than what remains: the common case, without any allocation. */
  remains(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    return this.#told.remains(now, startedAt, family, remaining);
  }

  /**
   * A call was refused by a rate limit. Where nothing tells what the limit is, or what is told does not hold, a rate is inferred, if
   * refusals depend on it. False: the refusal is one of a few that seem to be random, and the target needs no pause.
   */
  refused(now: Instant, startedAt: Instant, need: Need): boolean {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#accepted.add(now, -input - output, -1);
    // What others take of a limit that was told is inferred, too.
    this.#isExplained = this.#told.isEmpty || this.#told.refused(now, startedAt, input, output, this.#accepted.lately(now));
    const needsPause = this.#refusals.refused(now, startedAt, this.#accepted.callsPerMinute(now));
    this.#heedRefusals(now);
    return needsPause;
  }

  #heedRefusals(now: Instant): void {
    const verdict = this.#refusals.takeVerdict();
    if (verdict === 'random') this.#paced = null;
    else if (verdict !== null && this.#isExplained && !this.#options.isConfigured) this.#slowDown(now, verdict === 'suspect');
    this.#refusals.at(now, this.#paced !== null, this.#paced?.isBelow === true);
  }

  #release(): void {
    this.#paced = null;
    this.#refusals.released();
  }

  #slowDown(now: Instant, isTrial: boolean): void {
    const calls = this.#accepted.callsPerMinute(now);
    // The last minute may include what a full bucket had in stock; what a trial has accepted does not.
    const share = isTrial && calls > 0 ? Math.min(1, this.#refusals.acceptedPerMinute / calls) : 1;
    const perMinute = (this.#accepted.perMinute(now) * share) / (1 - this.#refusals.randomShare(now));
    const isFirstWord = this.#paced === null && this.#told.isEmpty;
    const sustained = Math.max((isFirstWord ? PACED_FIRST_MIN : PACED_MIN)[this.kind], perMinute);
    if (this.#paced === null) this.#paced = new PacedRate(sustained, calls, now);
    else this.#paced.refused(now, sustained, calls / this.#refusals.excess);
    if (!isTrial) return;
    this.#paced.slowDown();
    this.#refusals.expect((calls * this.#paced.perMinute) / Math.max(1, this.#accepted.perMinute(now)));
  }

  /** So few calls that a pause which the provider asks for costs little, whether or not its refusals are random. */
  isCalm(now: Instant): boolean {
    return this.#accepted.callsPerMinute(now) < CALM_PER_MINUTE;
  }

  /** Nothing is known of it any more. */
  reset(): void {
    this.#told.reset();
    this.#paced = null;
    this.#heard = !this.#options.startsCarefully;
    this.#firstStartAt = null;
    this.#inFirstFlight = 0;
    this.#refusals.reset();
    this.#accepted.reset();
  }

  known(now: Instant): LearnedLimit[] {
    const told = this.#told.all.map((one): LearnedLimit => {
      return { source: 'told', counts: one.counts, windowMs: one.windowMs, limit: one.limit, available: one.available(now) };
    });
    if (this.#paced === null) return told;
    const { perMinute } = this.#paced;
    return [...told, { source: 'paced', counts: 'all', windowMs: MINUTE_MS, limit: perMinute, available: this.#paced.level(now) }];
  }

  /** Null: there is nothing to remember. */
  save(now: Instant, epochMs: number): LearnedLevel | null {
    if (this.#told.isEmpty && this.#paced === null) return null;
    return { told: this.#told.save(now, epochMs), paced: this.#paced?.save() ?? null };
  }

  restore(now: Instant, epochMs: number, saved: LearnedLevel): void {
    this.#told.restore(now, epochMs, saved.told);
    if (saved.paced !== null && !this.#options.isConfigured) this.#paced = PacedRate.restore(saved.paced, now);
    if (!this.#told.isEmpty || this.#paced !== null) this.#heard = true;
  }

  /** When so much belongs to the first flight: its bound grows until somebody answers. */
  #flightAt(now: Instant, amount: number): Instant {
    if (this.#firstStartAt === null || this.#inFirstFlight <= 0) return now;
    const flight = FIRST_FLIGHT[this.kind];
    const flown = this.#inFirstFlight + Math.min(amount, flight);
    return this.#firstStartAt + Math.max(0, flown / flight - 1) * SECOND_MS;
  }

  #flownBy(amount: number): number {
    return Math.min(amount, FLIGHTS_MAX * FIRST_FLIGHT[this.kind]);
  }

  #inputOf(need: Need): number {
    return this.kind === 'requests' ? need.requests : need.inputTokens;
  }

  #outputOf(need: Need): number {
    return this.kind === 'requests' ? 0 : need.outputTokens;
  }
}
