/**
 * A limit on requests, or on tokens, that is learned where none is configured. Every target has one from the start; it blocks nothing until
 * something is known. It has three states:
 *
 * - cold: no response has started yet. A first batch of calls is admitted, and as many more each second, so that a cold start does not
 *   exceed an unknown limit.
 * - advertised: limits from rate-limit headers, whose levels follow the reported remaining amounts (`advertised-limits.ts`).
 * - paced: an inferred rate, which backs off after refusals and grows again (`paced-rate.ts`). It is used without headers, where refusals
 *   depend on the rate (`refusal-test.ts`), and beside headers where a call was refused although the advertised limit had room, because
 *   others use the same key.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { AcceptedCount } from './accepted-count.ts';
import { PacedRate } from './paced-rate.ts';
import type { PacedLevel } from './paced-rate.ts';
import { RefusalTest } from './refusal-test.ts';
import type { AdvertisedLevel, AdvertisedValue } from './advertised-limit.ts';
import { AdvertisedLimits } from './advertised-limits.ts';
import type { AdvertisedOptions } from './advertised-limits.ts';
import type { SharedLimit } from './shared-limit.ts';

export interface LearnedRateOptions extends AdvertisedOptions {
  readonly id: string;
  /** Nothing else bounds a cold start. */
  readonly startsCarefully: boolean;
  /** A limit is configured, so refusals infer no other one. */
  readonly isConfigured: boolean;
}

/** Admitted at once, and again each second, in a cold start. A larger need starts alone, and counts for at most a minute of this. */
const COLD_BATCH = { requests: 16, tokens: 16_000 } as const;
const COLD_BATCHES_MAX = 60;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** The lowest rates per minute that refusals without headers infer; the second one applies to the first inference. */
const PACED_MIN = { requests: 6, tokens: 3_000 } as const;
const PACED_FIRST_MIN = { requests: 30, tokens: 15_000 } as const;
const CALM_PER_MINUTE = 180;

export interface LearnedLevel {
  readonly reported: readonly AdvertisedLevel[];
  readonly paced: PacedLevel | null;
}

/** One learned limit, as shown by the admin API. */
export interface LearnedLimit {
  readonly source: 'reported' | 'inferred';
  readonly counts: AdvertisedValue['counts'];
  readonly windowMs: number;
  readonly limit: number;
  readonly available: number;
}

export class LearnedRate implements Resource {
  readonly id: string;
  readonly kind: 'requests' | 'tokens';
  #options: LearnedRateOptions;
  readonly #accepted = new AcceptedCount();
  readonly #advertised: AdvertisedLimits;
  #paced: PacedRate | null = null;
  /** The target has responded. */
  #hasResponded: boolean;
  #firstStartAt: Instant | null = null;
  #startedCold = 0;
  readonly #refusals = new RefusalTest();
  /** The last refusal agrees with the advertised limits, or there are none. */
  #isExplained = true;

  constructor(options: LearnedRateOptions) {
    this.id = options.id;
    this.kind = options.kind;
    this.#options = options;
    this.#advertised = new AdvertisedLimits(options);
    this.#hasResponded = !options.startsCarefully;
  }

  configure(options: LearnedRateOptions): void {
    this.#options = options;
    this.#advertised.configure(options);
    if (options.isConfigured) this.#paced = null;
    if (!options.startsCarefully) this.#hasResponded = true;
  }

  earliest(now: Instant, need: Need): Instant {
    if (this.#hasResponded && this.#paced === null && this.#advertised.isEmpty) return now;
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    const at = this.#advertised.isEmpty ? now : this.#advertised.earliest(now, input, output);
    const amount = input + output;
    if (amount <= 0) return at;
    const pacedAt = this.#paced === null ? at : Math.max(at, this.#paced.earliest(now, amount));
    return this.#hasResponded ? pacedAt : Math.max(pacedAt, this.#coldStartAt(now, amount));
  }

  earliestAfter(now: Instant, ahead: Need, need: Need): Instant {
    const [aheadInput, aheadOutput] = [this.#inputOf(ahead), this.#outputOf(ahead)];
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    const advertisedAt = this.#advertised.earliestAfter(now, aheadInput, aheadOutput, input, output);
    const at = Math.max(this.earliest(now, need), advertisedAt);
    return this.#paced === null ? at : Math.max(at, this.#paced.earliestAfter(now, aheadInput + aheadOutput, input + output));
  }

  reserve(now: Instant, need: Need): number {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#accepted.add(now, input + output, 1);
    this.#refusals.started(now);
    this.#applyRefusals(now);
    this.#advertised.take(now, input, output);
    this.#paced?.take(now, input + output);
    if (!this.#hasResponded) {
      this.#firstStartAt ??= now;
      this.#startedCold += this.#coldAmount(input + output);
    }
    return now;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (settlement.unsent === true) return this.cancel(now, ticket, need);
    const { usage } = settlement;
    if (usage === null || this.kind === 'requests') return;
    this.#advertised.giveBack(now, ticket, need.inputTokens - usage.inputTokens, need.outputTokens - usage.outputTokens);
  }

  cancel(now: Instant, ticket: number, need: Need): void {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#advertised.giveBack(now, ticket, input, output);
    this.#paced?.giveBack(now, input + output);
    this.#accepted.add(now, -input - output, -1);
    this.#refusals.cancelled();
    if (!this.#hasResponded) this.#startedCold -= this.#coldAmount(input + output);
  }

  /** A response has started, with or without headers. True if other requests may start sooner. */
  served(now: Instant, startedAt: Instant, need: Need): boolean {
    this.#paced?.advance(now, this.#refusals.isTrying);
    this.#refusals.served(now, startedAt);
    this.#applyRefusals(now);
    if (!this.#advertised.isEmpty) this.#advertised.served(startedAt, this.#inputOf(need), this.#outputOf(need));
    return this.responded(now);
  }

  /** Any response has arrived and its headers have been applied. True if other requests may start sooner. */
  responded(now: Instant): boolean {
    this.#advertised.forgetStale(now);
    if (this.#paced?.isOutgrown === true) this.#release();
    const hasOpened = this.#advertised.hasOpened || !this.#hasResponded;
    this.#hasResponded = true;
    this.#advertised.hasOpened = false;
    return hasOpened;
  }

  /** The smallest advertised limit that counts input; 0: none. */
  get inputLimit(): number {
    return this.#advertised.inputLimit;
  }

  /**
   * Applies advertised values; see `AdvertisedLimit.correct`. `startedAt`: the start of the call. Returns how much more remains than was
   * known; negative: less.
   */
  advertise(now: Instant, startedAt: Instant, value: AdvertisedValue): number {
    if (this.#advertised.isEmpty && this.#paced !== null) this.#release();
    return this.#advertised.advertise(now, startedAt, value);
  }

  /** The fast path for an unchanged limit with a new remaining amount; allocates nothing. */
  updateRemaining(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    return this.#advertised.updateRemaining(now, startedAt, family, remaining);
  }

  /** An advertised limit has news for the other instances; see `takeNews`. Inferred rates are not shared: each is what one instance gets. */
  get hasNews(): boolean {
    return this.#advertised.hasNews;
  }

  get advertisedCount(): number {
    return this.#advertised.all.length;
  }

  takeNews(now: Instant): SharedLimit[] {
    return this.#advertised.takeNews(now);
  }

  /** All advertised limits, for an instance that has just joined. */
  share(now: Instant): SharedLimit[] {
    return this.#advertised.all.map((one) => one.share(now));
  }

  /**
   * Applies a limit that another instance has learned. The first one ends a cold start and an inferred rate. `by`: how much more remains
   * than was known; negative: less. `hasOpened`: waiting requests may start sooner.
   */
  adopt(now: Instant, shared: SharedLimit): { by: number; hasOpened: boolean } {
    const wasEmpty = this.#advertised.isEmpty;
    const by = this.#advertised.adopt(now, shared);
    const { hasOpened } = this.#advertised;
    this.#advertised.hasOpened = false;
    if (!wasEmpty || this.#advertised.isEmpty) return { by, hasOpened };
    if (this.#paced !== null) this.#release();
    this.#hasResponded = true;
    return { by, hasOpened };
  }

  /**
   * The provider refused a call for a rate limit. Where no advertised limit explains it, and refusals depend on the rate, a rate is
   * inferred. False: it is one of few refusals that seem random, and the target needs no pause.
   */
  refused(now: Instant, startedAt: Instant, need: Need): boolean {
    const [input, output] = [this.#inputOf(need), this.#outputOf(need)];
    this.#accepted.add(now, -input - output, -1);
    // Usage of an advertised limit by others is inferred, too.
    this.#isExplained = this.#advertised.isEmpty || this.#advertised.refused(now, startedAt, input, output, this.#accepted.lately(now));
    const needsPause = this.#refusals.refused(now, startedAt, this.#accepted.callsPerMinute(now));
    this.#applyRefusals(now);
    return needsPause;
  }

  #applyRefusals(now: Instant): void {
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
    // The last minute may include the burst of a full bucket; the calls accepted by a trial do not.
    const share = isTrial && calls > 0 ? Math.min(1, this.#refusals.acceptedPerMinute / calls) : 1;
    const perMinute = (this.#accepted.perMinute(now) * share) / (1 - this.#refusals.randomShare(now));
    const isFirstSign = this.#paced === null && this.#advertised.isEmpty;
    const sustained = Math.max((isFirstSign ? PACED_FIRST_MIN : PACED_MIN)[this.kind], perMinute);
    if (this.#paced === null) this.#paced = new PacedRate(sustained, calls, now);
    else this.#paced.refused(now, sustained, calls / this.#refusals.excess);
    if (!isTrial) return;
    this.#paced.slowDown();
    this.#refusals.expect((calls * this.#paced.perMinute) / Math.max(1, this.#accepted.perMinute(now)));
  }

  /** So few calls that a requested pause costs little, even if refusals are random. */
  isCalm(now: Instant): boolean {
    return this.#accepted.callsPerMinute(now) < CALM_PER_MINUTE;
  }

  /** Drops everything learned. */
  reset(): void {
    this.#advertised.reset();
    this.#paced = null;
    this.#hasResponded = !this.#options.startsCarefully;
    this.#firstStartAt = null;
    this.#startedCold = 0;
    this.#refusals.reset();
    this.#accepted.reset();
  }

  known(now: Instant): LearnedLimit[] {
    const reported = this.#advertised.all.map((one): LearnedLimit => {
      return { source: 'reported', counts: one.counts, windowMs: one.windowMs, limit: one.limit, available: one.available(now) };
    });
    if (this.#paced === null) return reported;
    const { perMinute } = this.#paced;
    return [...reported, { source: 'inferred', counts: 'all', windowMs: MINUTE_MS, limit: perMinute, available: this.#paced.level(now) }];
  }

  /** Null: nothing has been learned. */
  save(now: Instant, epochMs: number): LearnedLevel | null {
    if (this.#advertised.isEmpty && this.#paced === null) return null;
    return { reported: this.#advertised.save(now, epochMs), paced: this.#paced?.save() ?? null };
  }

  restore(now: Instant, epochMs: number, saved: LearnedLevel): void {
    this.#advertised.restore(now, epochMs, saved.reported);
    if (saved.paced !== null && !this.#options.isConfigured) this.#paced = PacedRate.restore(saved.paced, now);
    if (!this.#advertised.isEmpty || this.#paced !== null) this.#hasResponded = true;
  }

  /** When an amount may start during a cold start, whose bound grows until a response comes. */
  #coldStartAt(now: Instant, amount: number): Instant {
    if (this.#firstStartAt === null || this.#startedCold <= 0) return now;
    const batch = COLD_BATCH[this.kind];
    const started = this.#startedCold + Math.min(amount, batch);
    return this.#firstStartAt + Math.max(0, started / batch - 1) * SECOND_MS;
  }

  #coldAmount(amount: number): number {
    return Math.min(amount, COLD_BATCHES_MAX * COLD_BATCH[this.kind]);
  }

  #inputOf(need: Need): number {
    return this.kind === 'requests' ? need.requests : need.inputTokens;
  }

  #outputOf(need: Need): number {
    return this.kind === 'requests' ? 0 : need.outputTokens;
  }
}
