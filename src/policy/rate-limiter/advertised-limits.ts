/**
 * The advertised limits of one kind (requests or tokens). Headers may be outdated, wrong, or describe a sliding window as if it were a
 * bucket. So a limit is dropped when responses disprove it or no longer confirm it, a bucket is turned into a sliding window when refusals
 * show that it is one, and one call a minute is always tried, whatever the headers report.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { StartHistory } from './start-history.ts';
import { AdvertisedLimit } from './advertised-limit.ts';
import type { SharedLimit } from './shared-limit.ts';
import type { ConfiguredLimit, AdvertisedLevel, EnforcementShape, AdvertisedValue } from './advertised-limit.ts';

export interface AdvertisedOptions extends EnforcementShape {
  readonly kind: 'requests' | 'tokens';
  /** All configured limits, of any kind. */
  readonly configured: readonly ConfiguredLimit[];
  /** How many instances use the same key, this one included. Default: one. */
  readonly instances?: () => number;
}

/** Amounts taken recently, oldest first, each with its end. */
export type Recent = readonly { readonly at: Instant; readonly amount: number }[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Limits that no response has confirmed for this long are dropped. */
const STALE_MS = 15 * MINUTE_MS;
/** The most limits of one kind per provider. */
const ADVERTISED_MAX = 4;
/** The longest time that advertised values alone block a request. */
const PROBE_MS = MINUTE_MS;
/** Smaller limits per minute are not plausible and apply only after a refusal. */
const PLAUSIBLE_MIN = { requests: 3, tokens: 1_000 } as const;
/** A response to a call for this many times the limit disproves it; less may be an inexact estimate. */
const DISPROVED = 1.5;
/** A sliding window refuses when about this share of its limit was taken within a minute. */
const WINDOW_SHARE_MIN = 0.85;
const WINDOW_SHARE_MAX = 1.1;
/**
 * Upward corrections that add up to this share of the limit disprove a sliding window; ignored while its initial amounts may still count.
 */
const WINDOW_WRONG_SHARE = 0.5;
const WINDOW_SETTLED_MS = 1.1 * MINUTE_MS;
const SLIDING: EnforcementShape = { enforce: 'sliding' };
const ONE_REQUEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const ONE_INPUT: Need = { requests: 0, inputTokens: 1, outputTokens: 0 };
const ONE_OUTPUT: Need = { requests: 0, inputTokens: 0, outputTokens: 1 };

export class AdvertisedLimits {
  #options: AdvertisedOptions;
  #all: readonly AdvertisedLimit[] = [];
  readonly #starts = new StartHistory();
  #lastStartAt: Instant = -Infinity;
  /** The families of disproved limits, one bit each. */
  #disproved = 0;
  /** Limits per minute are sliding windows, as inferred from a refusal. */
  #isWindow = false;
  /** That inference was disproved, and is not repeated. */
  #isBucket = false;
  /** The sum of upward corrections since then. */
  #corrected = 0;
  /** Requests may start sooner than was known; reset by the caller that reads it. */
  hasOpened = false;

  constructor(options: AdvertisedOptions) {
    this.#options = options;
  }

  configure(options: AdvertisedOptions): void {
    this.#options = options;
    for (const one of this.#all) this.#compare(one);
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  get all(): readonly AdvertisedLimit[] {
    return this.#all;
  }

  /** A limit was learned, or noticeably less remains of one than the other instances expect. */
  get hasNews(): boolean {
    for (const one of this.#all) if (one.isNews) return true;
    return false;
  }

  /** What the other instances do not have yet, each once. */
  takeNews(now: Instant): SharedLimit[] {
    const news = this.#all.filter(({ isNews }) => isNews);
    for (const one of news) one.noteShared(now);
    return news.map((one) => one.share(now));
  }

  earliest(now: Instant, input: number, output: number): Instant {
    let at = now;
    for (const one of this.#all) {
      if (!this.#applies(one, now)) continue;
      const opensAt = one.earliest(now, one.amountOf(input, output));
      at = Math.max(at, opensAt === Infinity ? this.#tooLargeUntil(one, now) : Math.min(opensAt, this.#probeAt(one)));
    }
    return at;
  }

  /** Advertised values may be wrong, so one call is tried at this instant. */
  #probeAt(one: AdvertisedLimit): Instant {
    return Math.max(this.#lastStartAt, one.since) + PROBE_MS;
  }

  /** While requests above the limit wait, a larger limit would never be noticed: one is tried after a while. */
  #tooLargeUntil(one: AdvertisedLimit, now: Instant): Instant {
    return now - Math.max(this.#lastStartAt, one.confirmedAt) > staleMs(one) ? now : Infinity;
  }

  /** After `aheadInput` and `aheadOutput` have been taken by others. */
  earliestAfter(now: Instant, aheadInput: number, aheadOutput: number, input: number, output: number): Instant {
    let at = this.earliest(now, input, output);
    for (const one of this.#all) {
      if (!this.#applies(one, now)) continue;
      at = Math.max(at, one.earliestAfter(now, one.amountOf(aheadInput, aheadOutput), one.amountOf(input, output)));
    }
    return at;
  }

  take(now: Instant, input: number, output: number): void {
    this.#starts.take(now, input, output);
    this.#lastStartAt = now;
    for (const one of this.#all) {
      one.divide(now, this.#instances);
      const amount = one.amountOf(input, output);
      if (this.#applies(one, now) && one.earliest(now, amount) > now) one.probedAt = now;
      one.take(now, amount);
    }
  }

  /** Returns what was reserved in excess; negative amounts take excess usage. */
  giveBack(now: Instant, takenAt: Instant, input: number, output: number): void {
    this.#starts.giveBack(input, output);
    for (const one of this.#all) {
      const amount = one.amountOf(input, output);
      if (amount >= 0) one.giveBack(now, amount, takenAt);
      else if (takenAt > one.since) one.take(now, -amount);
    }
  }

  /** The smallest limit that counts input; 0: none. */
  get inputLimit(): number {
    let least = 0;
    for (const { counts, limit } of this.#all) if (counts !== 'output' && (least === 0 || limit < least)) least = limit;
    return least;
  }

  /** Returns how much more remains than was known; negative: less. */
  advertise(now: Instant, startedAt: Instant, value: AdvertisedValue): number {
    if ((this.#disproved & (1 << value.family)) !== 0) return 0;
    let one = this.#all.find((other) => other.family === value.family);
    const limit = value.limit ?? Math.max(one?.limit ?? 0, value.remaining ?? 0);
    const isNew = limit > 0 && (one?.limit !== limit || one.windowMs !== value.windowMs);
    if (isNew) one = this.#learn(now, value, limit, one);
    if (one === undefined) return 0;
    one.confirmedAt = now;
    const by = value.remaining === null ? 0 : this.#correct(now, startedAt, one, value.remaining);
    if (isNew) one.noteReport(now);
    return by;
  }

  updateRemaining(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    for (const one of this.#all) {
      if (one.family !== family) continue;
      // Without an advertised limit, a remaining amount above the largest one so far is a larger limit.
      if (one.isGuess && remaining > one.limit) return this.advertise(now, startedAt, one.valueOf(remaining));
      one.confirmedAt = now;
      return this.#correct(now, startedAt, one, remaining);
    }
    return 0;
  }

  /**
   * Applies a limit from another instance. A limit that is unknown here is added, and a later report of another limit replaces it. Returns
   * how much more remains than was known; negative: less.
   */
  adopt(now: Instant, shared: SharedLimit): number {
    const reportedAt = now - shared.agoMs;
    if ((this.#disproved & (1 << shared.family)) !== 0 || shared.agoMs > staleMs(shared)) return 0;
    let one = this.#all.find((other) => other.family === shared.family);
    const { family, counts, windowMs, limit, isGuess } = shared;
    if (one === undefined || (!isGuess && (one.isGuess || one.limit !== limit || one.windowMs !== windowMs))) {
      if (one !== undefined && one.confirmedAt >= reportedAt) return 0;
      one = this.#learn(now, { family, counts, windowMs, limit: isGuess ? null : limit, remaining: null }, limit, one);
      if (one === undefined) return 0;
      one.confirmedAt = reportedAt;
      one.noteShared(now);
    }
    one.confirmedAt = Math.max(one.confirmedAt, reportedAt);
    one.divide(now, this.#instances);
    const by = one.lower(now, shared, this.#starts);
    // Corrections that only undo this do not disprove a window.
    if (one.isWindow && by < 0) this.#corrected = Math.max(-one.limit, this.#corrected + by);
    return by;
  }

  served(startedAt: Instant, input: number, output: number): void {
    for (const one of this.#all) if (isDisproved(one, startedAt, one.amountOf(input, output))) this.#drop(one);
  }

  /**
   * True if less remained of a limit than the call needed, although the level here allowed it. `recent`: the amounts accepted within the
   * last minute.
   */
  refused(now: Instant, startedAt: Instant, input: number, output: number, recent: Recent): boolean {
    let isExplained = false;
    for (const one of this.#all) {
      if (startedAt <= one.since) continue;
      one.isProven = true;
      if (one.remaining >= one.amountOf(input, output)) continue;
      isExplained = true;
      this.#doubtBucket(now, one, recent);
    }
    return isExplained;
  }

  forgetStale(now: Instant): void {
    for (const one of this.#all) {
      if (now - one.confirmedAt <= staleMs(one)) continue;
      this.#all = this.#all.filter((other) => other !== one);
    }
  }

  reset(): void {
    this.#all = [];
    this.#disproved = 0;
    this.#isWindow = false;
    this.#isBucket = false;
  }

  save(now: Instant, epochMs: number): AdvertisedLevel[] {
    return this.#all.map((other) => other.save(now, epochMs));
  }

  restore(now: Instant, epochMs: number, saved: readonly AdvertisedLevel[]): void {
    const all: AdvertisedLimit[] = [];
    for (const other of saved.slice(0, ADVERTISED_MAX)) {
      if (epochMs - other.confirmedEpochMs > staleMs(other)) continue;
      if (other.taken !== undefined) this.#isWindow = true;
      const one = new AdvertisedLimit(
        { ...other, limit: other.isGuess ? null : other.limit },
        other.limit,
        this.#shape(other.windowMs),
        now,
      );
      one.restore(now, epochMs, other);
      this.#compare(one);
      one.divide(now, this.#instances);
      all.push(one);
    }
    this.#all = all;
  }

  get #instances(): number {
    return this.#options.instances?.() ?? 1;
  }

  #learn(now: Instant, value: AdvertisedValue, limit: number, before: AdvertisedLimit | undefined): AdvertisedLimit | undefined {
    if (before === undefined && this.#all.length >= ADVERTISED_MAX) return undefined;
    // Starts before the first values count from their own instants.
    const taken = before === undefined ? (this.#starts.list(now - value.windowMs) ?? []) : [];
    const one = new AdvertisedLimit(value, limit, this.#shape(value.windowMs), taken[0]?.at ?? now, taken.length > 0);
    for (const { at, input, output } of taken) one.take(at, one.amountOf(input, output));
    // A changed limit without a remaining amount: what was used of the old one counts against the new one.
    if (before !== undefined) {
      one.set(now, limit - (before.limit - before.available(now)));
      one.probedAt = before.probedAt;
      one.contradictions = before.contradictions;
    }
    this.#compare(one);
    one.divide(now, this.#instances);
    this.hasOpened = true;
    this.#all = [...this.#all.filter((other) => other !== before), one];
    return one;
  }

  #shape(windowMs: number): EnforcementShape {
    return this.#isWindow && windowMs === MINUTE_MS ? SLIDING : this.#options;
  }

  #correct(now: Instant, startedAt: Instant, one: AdvertisedLimit, remaining: number): number {
    const taken = this.#starts.since(startedAt);
    const by = taken === null ? 0 : one.correct(now, startedAt, remaining, taken);
    if (taken !== null) one.noteReport(now);
    if (by <= 0) return by;
    this.hasOpened = true;
    if (this.#isWindow && one.isWindow && now - one.since > WINDOW_SETTLED_MS) this.#doubtWindow(now, one, by);
    return by;
  }

  /**
   * A refusal although the level here allowed the call may mean that the limit is a sliding window. To conclude that, about as much as the
   * limit must have been taken within the last minute. Not done where the config states how the limit is enforced, because random refusals
   * look the same.
   */
  #doubtBucket(now: Instant, one: AdvertisedLimit, recent: Recent): void {
    const { enforce, kind } = this.#options;
    if (enforce !== 'bucket' || this.#isBucket || one.configured !== null || one.isWindow || one.windowMs !== MINUTE_MS) return;
    const taken = recent.reduce((sum, { amount }) => sum + amount, 0);
    if (taken < WINDOW_SHARE_MIN * one.limit || (kind === 'requests' && taken > WINDOW_SHARE_MAX * one.limit)) return;
    this.#all = this.#all.map((other) => (other === one ? one.asWindow(now, recent) : other));
    this.#isWindow = true;
    this.#corrected = 0;
  }

  /** In a sliding window only the amounts taken a window ago return: repeated upward corrections disprove it. */
  #doubtWindow(now: Instant, one: AdvertisedLimit, by: number): void {
    this.#corrected += by;
    if (this.#corrected < WINDOW_WRONG_SHARE * one.limit) return;
    this.#isWindow = false;
    this.#isBucket = true;
    const { remaining, confirmedAt } = one;
    const again = this.#learn(now, { ...one.valueOf(remaining), limit: one.isGuess ? null : one.limit }, one.limit, one);
    if (again !== undefined) Object.assign(again, { remaining, confirmedAt });
  }

  /** False where it adds nothing to the configured limit, or is implausibly small and unconfirmed. */
  #applies(one: AdvertisedLimit, now: Instant): boolean {
    const isCredible = one.isProven || one.limit * Math.max(1, MINUTE_MS / one.windowMs) >= PLAUSIBLE_MIN[this.#options.kind];
    return isCredible && !one.isCovered(now);
  }

  #drop(one: AdvertisedLimit): void {
    this.#disproved |= 1 << one.family;
    this.#all = this.#all.filter((other) => other !== one);
    this.hasOpened = true;
  }

  /** Finds the configured limit of the same kind and window that is no larger. */
  #compare(one: AdvertisedLimit): void {
    const isSame = (other: ConfiguredLimit): boolean => {
      if (other.windowMs !== one.windowMs || other.limit > one.limit) return false;
      if (this.#options.kind === 'requests') return other.counts(ONE_REQUEST) > 0;
      return other.counts(ONE_INPUT) > 0 === (one.counts !== 'output') && other.counts(ONE_OUTPUT) > 0 === (one.counts !== 'input');
    };
    one.configured = this.#options.configured.find(isSame) ?? null;
  }
}

function staleMs({ windowMs }: Pick<AdvertisedLimit, 'windowMs'>): number {
  return Math.max(STALE_MS, windowMs);
}

/** A response to a call above the limit, or two to calls for which nothing remained, disproves it. */
function isDisproved(one: AdvertisedLimit, startedAt: Instant, amount: number): boolean {
  if (one.isGuess) return false;
  if (amount > DISPROVED * one.limit) return true;
  if (startedAt < one.probedAt || startedAt - one.probedAt > SECOND_MS) return false;
  one.probedAt = -Infinity;
  return ++one.contradictions > 1;
}
