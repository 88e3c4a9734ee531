/**
 * What is learned of a provider's limits on requests, or on tokens, where nobody has configured them. It is a resource of every
 * target of its scope from the start, and limits nobody until something is known. Three things are, one after the other:
 *
 *   unheard   before the first answer has begun, so that a cold start does not run blindly into a limit: a first flight of some
 *             calls, and some more each second, until the first of them has been answered
 *   told      the provider's words in its headers: a bucket of that limit, whose level is kept near to what they say remains
 *   paced     where nothing is told and calls are refused: a rate that backs off and feels its way up again (`paced-rate.ts`)
 */
import type { Instant } from '../../core/clock.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { PacedRate } from './paced-rate.ts';
import type { PacedLevel } from './paced-rate.ts';
import { AcceptedCount } from './accepted-count.ts';
import { StartHistory } from './start-history.ts';
import { ToldLimit } from './told-limit.ts';
import type { ConfiguredLimit, ToldLevel, ToldShape, ToldWord } from './told-limit.ts';

export interface LearnedRateOptions extends ToldShape {
  readonly id: string;
  readonly kind: 'requests' | 'tokens';
  /** Nothing else bounds a cold start. */
  readonly startsCarefully: boolean;
  /** The config says what the limit is: refusals teach nothing beside it. */
  readonly isConfigured: boolean;
  /** What is configured for it, of any kind. */
  readonly configured: readonly ConfiguredLimit[];
}

/** At once, and again each second, before anything is known. A need above it goes alone. */
const FIRST_FLIGHT = { requests: 16, tokens: 16_000 } as const;
/** A sliding window refuses when about so much of its limit was taken within a minute. */
const WINDOW_SHARE_MIN = 0.85;
const WINDOW_SHARE_MAX = 1.1;
/** If so much of the limit had to be put right, it is no sliding window. */
const WINDOW_WRONG_SHARE = 0.5;
const SLIDING: ToldShape = { enforce: 'sliding' };
const ONE_REQUEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const ONE_INPUT: Need = { requests: 0, inputTokens: 1, outputTokens: 0 };
const ONE_OUTPUT: Need = { requests: 0, inputTokens: 0, outputTokens: 1 };
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Words that no answer has confirmed for so long are out of date. */
const STALE_MS = 15 * MINUTE_MS;
/** Refusals further apart than this have nothing to do with each other. */
const TOGETHER_MS = MINUTE_MS;
/** No provider is taken to allow less than this a minute because of refusals without a word; at first not even near it. */
const PACED_MIN = { requests: 6, tokens: 3_000 } as const;
const PACED_FIRST_MIN = { requests: 30, tokens: 15_000 } as const;
/** A provider tells of so many limits of one kind at most. */
const TOLD_MAX = 4;

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
  readonly #starts = new StartHistory();
  readonly #accepted = new AcceptedCount();
  #told: readonly ToldLimit[] = [];
  #paced: PacedRate | null = null;
  /** Something was answered. */
  #heard: boolean;
  /** Its minutes were found to be sliding windows, whatever was thought. */
  #isWindow = false;
  /** And that was wrong: it is not found again. */
  #isBucket = false;
  /** How much more than thought remained of it since. */
  #putRight = 0;
  /** Somebody may start sooner than was thought. */
  #isNews = false;
  #firstStartAt: Instant | null = null;
  #inFirstFlight = 0;
  /** The last refusal that was taken for news. */
  #backedOffAt: Instant = -Infinity;
  #servedSince = false;

  constructor(options: LearnedRateOptions) {
    this.id = options.id;
    this.kind = options.kind;
    this.#options = options;
    this.#heard = !options.startsCarefully;
  }

  configure(options: LearnedRateOptions): void {
    this.#options = options;
    if (options.isConfigured) this.#paced = null;
    if (!options.startsCarefully) this.#heard = true;
    for (const told of this.#told) this.#compare(told);
  }

  earliest(now: Instant, need: Need): Instant {
    if (this.#heard && this.#paced === null && this.#told.length === 0) return now;
    let at = now;
    for (const told of this.#told) {
      if (!told.isCovered(now)) at = Math.max(at, told.earliest(now, told.amountOf(this.#inputOf(need), this.#outputOf(need))));
    }
    const amount = this.#amountOf(need);
    if (amount <= 0) return at;
    if (this.#paced !== null) at = Math.max(at, this.#paced.earliest(now, amount));
    return this.#heard ? at : Math.max(at, this.#flightAt(now, amount));
  }

  earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    let at = this.earliest(now, need);
    const [input, output] = [this.#inputOf(ahead), this.#outputOf(ahead)];
    for (const told of this.#told) {
      if (told.isCovered(now)) continue;
      at = Math.max(at, told.earliestAfter(now, told.amountOf(input, output), told.amountOf(this.#inputOf(need), this.#outputOf(need))));
    }
    return this.#paced === null ? at : Math.max(at, this.#paced.earliestAfter(now, input + output, this.#amountOf(need)));
  }

  reserve(now: Instant, need: Need): number {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#starts.take(now, input, output);
    this.#accepted.add(now, input + output, 1);
    for (const told of this.#told) told.take(now, told.amountOf(input, output));
    this.#paced?.take(now, input + output);
    if (!this.#heard) {
      this.#firstStartAt ??= now;
      this.#inFirstFlight += input + output;
    }
    return now;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (settlement.unsent === true) return this.cancel(now, ticket, need);
    const { usage } = settlement;
    if (usage === null || this.kind === 'requests') return;
    this.#correct(now, ticket, need.inputTokens - usage.inputTokens, need.outputTokens - usage.outputTokens);
  }

  cancel(now: Instant, ticket: number, need: Need): void {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#correct(now, ticket, input, output);
    this.#paced?.giveBack(now, input + output);
    this.#accepted.add(now, -input - output, -1);
    if (!this.#heard) this.#inFirstFlight -= input + output;
  }

  /** An answer has begun: what a provider does not tell of now, it did not mean to. True if somebody may start sooner. */
  served(now: Instant, startedAt: Instant): boolean {
    this.#paced?.advance(now);
    if (startedAt > this.#backedOffAt) this.#servedSince = true;
    return this.heard(now);
  }

  /** Any answer at all came, good or bad, and its words have been told. True if somebody may start sooner. */
  heard(now: Instant): boolean {
    this.#forgetStale(now);
    if (this.#paced?.isOutgrown === true) this.#paced = null;
    const isNews = this.#isNews || !this.#heard;
    this.#heard = true;
    this.#isNews = false;
    return isNews;
  }

  /** Of what is told that counts input, the least; 0: nothing is. */
  get inputLimit(): number {
    let least = 0;
    for (const { counts, limit } of this.#told) if (counts !== 'output' && (least === 0 || limit < least)) least = limit;
    return least;
  }

  /**
   * The provider's own word; see `ToldLimit.correct`. `startedAt`: of the call with whose answer it came. Gives by how much more
   * remains than was thought; below zero: less.
   */
  tell(now: Instant, startedAt: Instant, word: ToldWord): number {
    let told = this.#told.find((one) => one.family === word.family);
    const limit = word.limit ?? Math.max(told?.limit ?? 0, word.remaining ?? 0);
    if (limit > 0 && (told?.limit !== limit || told.windowMs !== word.windowMs)) told = this.#know(now, word, limit, told);
    if (told === undefined) return 0;
    told.confirmedAt = now;
    return word.remaining === null ? 0 : this.#correctTold(now, startedAt, told, word.remaining);
  }

  /** The same limit as before, and no more is told than what remains: the common case, without any allocation. */
  remains(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    for (const told of this.#told) {
      if (told.family !== family) continue;
      // Where only what remains is told, more of it than ever is a larger limit.
      if (told.isGuess && remaining > told.limit) return this.tell(now, startedAt, told.wordOf(remaining));
      told.confirmedAt = now;
      return this.#correctTold(now, startedAt, told, remaining);
    }
    return 0;
  }

  /** A call was refused by a rate limit. Where nothing tells what the limit is, the rate is felt out. */
  refused(now: Instant, startedAt: Instant, need: Need): void {
    this.#accepted.add(now, -this.#amountOf(need), -1);
    this.#doubtBuckets(now, startedAt, need);
    if (this.#options.isConfigured || this.#told.length > 0) return;
    // Calls that were under way at the last one say nothing new; nor does a row of refusals in which nothing was served.
    if (startedAt <= this.#backedOffAt || !this.#servedSince) return;
    const isFirst = now - this.#backedOffAt > TOGETHER_MS;
    this.#backedOffAt = now;
    this.#servedSince = false;
    if (this.#paced === null && isFirst) return; // one alone may be anything
    const calls = this.#accepted.callsPerMinute(now);
    const sustained = Math.max((this.#paced === null ? PACED_FIRST_MIN : PACED_MIN)[this.kind], this.#accepted.perMinute(now));
    if (this.#paced === null) this.#paced = new PacedRate(sustained, calls, now);
    else this.#paced.refused(now, sustained, calls);
  }

  /**
   * What ours still had room for, and the provider had not, may be counted another way than thought: over a sliding window. That must
   * explain it: about as much as the limit was taken within the last minute.
   */
  #doubtBuckets(now: Instant, startedAt: Instant, need: Need): void {
    if (this.#options.enforce !== 'bucket' || this.#isBucket) return;
    for (const [i, told] of this.#told.entries()) {
      const amount = told.amountOf(this.#inputOf(need), this.#outputOf(need));
      if (told.windowMs !== MINUTE_MS || told.isWindow || startedAt <= told.since || told.remaining >= amount) continue;
      const lately = this.#accepted.lately(now);
      const taken = lately.reduce((sum, part) => sum + part.amount, 0);
      if (taken < WINDOW_SHARE_MIN * told.limit || (this.kind === 'requests' && taken > WINDOW_SHARE_MAX * told.limit)) continue;
      this.#told = this.#told.with(i, told.asWindow(now, lately));
      this.#isWindow = true;
      this.#putRight = 0;
    }
  }

  /** In a sliding window nothing comes back but what was taken a window ago: where the provider has more again and again, it is none. */
  #doubtWindow(now: Instant, told: ToldLimit): void {
    if (this.#putRight < WINDOW_WRONG_SHARE * told.limit) return;
    this.#isWindow = false;
    this.#isBucket = true;
    const { remaining, confirmedAt } = told;
    const word = { ...told.wordOf(remaining), limit: told.isGuess ? null : told.limit };
    const again = this.#know(now, word, told.limit, told);
    if (again !== undefined) Object.assign(again, { remaining, confirmedAt });
  }

  /** Nothing is known of it any more. */
  reset(): void {
    this.#told = [];
    this.#paced = null;
    this.#isWindow = false;
    this.#isBucket = false;
    this.#heard = !this.#options.startsCarefully;
    this.#firstStartAt = null;
    this.#inFirstFlight = 0;
    this.#backedOffAt = -Infinity;
    this.#servedSince = false;
    this.#accepted.reset();
  }

  known(now: Instant): LearnedLimit[] {
    const told = this.#told.map((one): LearnedLimit => {
      return { source: 'told', counts: one.counts, windowMs: one.windowMs, limit: one.limit, available: one.available(now) };
    });
    if (this.#paced === null) return told;
    const { perMinute } = this.#paced;
    return [...told, { source: 'paced', counts: 'all', windowMs: MINUTE_MS, limit: perMinute, available: this.#paced.level(now) }];
  }

  /** Null: there is nothing to remember. */
  save(now: Instant, epochMs: number): LearnedLevel | null {
    if (this.#told.length === 0 && this.#paced === null) return null;
    return { told: this.#told.map((one) => one.save(now, epochMs)), paced: this.#paced?.save() ?? null };
  }

  restore(now: Instant, epochMs: number, saved: LearnedLevel): void {
    const told: ToldLimit[] = [];
    for (const one of saved.told.slice(0, TOLD_MAX)) {
      if (epochMs - one.confirmedEpochMs > Math.max(STALE_MS, one.windowMs)) continue;
      if (one.taken !== undefined) this.#isWindow = true;
      const limit = new ToldLimit({ ...one, limit: one.isGuess ? null : one.limit }, one.limit, this.#shape(one.windowMs), now);
      limit.restore(now, epochMs, one);
      this.#compare(limit);
      told.push(limit);
    }
    this.#told = told;
    if (saved.paced !== null && !this.#options.isConfigured) this.#paced = PacedRate.restore(saved.paced, now);
    if (told.length > 0 || this.#paced !== null) this.#heard = true;
  }

  #know(now: Instant, word: ToldWord, limit: number, before: ToldLimit | undefined): ToldLimit | undefined {
    if (before === undefined && this.#told.length >= TOLD_MAX) return undefined;
    const told = new ToldLimit(word, limit, this.#shape(word.windowMs), now);
    // Another limit than before, with nothing said of what remains: what was used of the old one is used of the new one.
    if (before !== undefined) told.set(now, limit - (before.limit - before.available(now)));
    this.#compare(told);
    this.#isNews = true;
    this.#told = [...this.#told.filter((one) => one !== before), told];
    this.#paced = null;
    return told;
  }

  #shape(windowMs: number): ToldShape {
    return this.#isWindow && windowMs === MINUTE_MS ? SLIDING : this.#options;
  }

  /** Finds what is configured for the same thing, and no wider. */
  #compare(told: ToldLimit): void {
    const isSame = (one: ConfiguredLimit): boolean => {
      if (one.windowMs !== told.windowMs || one.limit > told.limit) return false;
      if (this.kind === 'requests') return one.counts(ONE_REQUEST) > 0;
      return one.counts(ONE_INPUT) > 0 === (told.counts !== 'output') && one.counts(ONE_OUTPUT) > 0 === (told.counts !== 'input');
    };
    told.configured = this.#options.configured.find(isSame) ?? null;
  }

  #forgetStale(now: Instant): void {
    for (const told of this.#told) {
      if (now - told.confirmedAt <= Math.max(STALE_MS, told.windowMs)) continue;
      this.#told = this.#told.filter((one) => one !== told);
    }
  }

  #correctTold(now: Instant, startedAt: Instant, told: ToldLimit, remaining: number): number {
    const taken = this.#starts.since(startedAt);
    const by = taken === null ? 0 : told.correct(now, startedAt, remaining, taken);
    if (by <= 0) return by;
    this.#isNews = true;
    // What was taken before it was known is known roughly only.
    if (!this.#isWindow || !told.isWindow || now - told.since <= 1.1 * MINUTE_MS) return by;
    this.#putRight += by;
    this.#doubtWindow(now, told);
    return by;
  }

  /** Gives back what was reserved too much; below zero: takes what was used on top. */
  #correct(now: Instant, ticket: number, input: number, output: number): void {
    this.#starts.giveBack(input, output);
    for (const told of this.#told) {
      const amount = told.amountOf(input, output);
      if (amount >= 0) told.giveBack(now, amount, ticket);
      else if (ticket > told.since) told.take(now, -amount);
    }
  }

  /** When so much belongs to the first flight: its bound grows until somebody answers. */
  #flightAt(now: Instant, amount: number): Instant {
    if (this.#firstStartAt === null || this.#inFirstFlight <= 0) return now;
    const flight = FIRST_FLIGHT[this.kind];
    const flown = this.#inFirstFlight + Math.min(amount, flight);
    return this.#firstStartAt + Math.max(0, flown / flight - 1) * SECOND_MS;
  }

  #amountOf(need: Need): number {
    return this.kind === 'requests' ? need.requests : need.inputTokens + need.outputTokens;
  }

  #inputOf(need: Need): number {
    return this.kind === 'requests' ? need.requests : need.inputTokens;
  }

  #outputOf(need: Need): number {
    return this.kind === 'requests' ? 0 : need.outputTokens;
  }
}
