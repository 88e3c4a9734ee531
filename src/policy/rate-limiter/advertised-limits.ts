/**
 * The advertised limits of one kind. Headers may be outdated, describe a sliding window instead of a bucket, or be wrong altogether;
 * whatever they say, one call a minute is tried.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { StartHistory } from './start-history.ts';
import { AdvertisedLimit } from './advertised-limit.ts';
import type { ConfiguredLimit, AdvertisedLevel, EnforcementShape, AdvertisedValue } from './advertised-limit.ts';

export interface AdvertisedOptions extends EnforcementShape {
  readonly kind: 'requests' | 'tokens';
  /** Configured limits of any kind. */
  readonly configured: readonly ConfiguredLimit[];
}

/** What was taken recently, oldest first, each part at its end. */
export type Recent = readonly { readonly at: Instant; readonly amount: number }[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Limits that no response has confirmed for this long are outdated. */
const STALE_MS = 15 * MINUTE_MS;
/** The most limits of one kind for a provider. */
const ADVERTISED_MAX = 4;
/** The longest that advertised values alone block a request. */
const PROBE_MS = MINUTE_MS;
/** Limits below this a minute are not believed before a refusal. */
const BELIEVED_MIN = { requests: 3, tokens: 1_000 } as const;
/** A response to this many times the limit disproves it; estimates are not exact. */
const DISPROVED = 1.5;
/** A sliding window refuses when about this share of its limit was taken within a minute. */
const WINDOW_SHARE_MIN = 0.85;
const WINDOW_SHARE_MAX = 1.1;
/** Corrections of this share of the limit disprove a sliding window; not counted while what it began with may still count. */
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
  /** Families of limits that were disproved, one bit each. */
  #distrusted = 0;
  /** Limits a minute were found to be sliding windows. */
  #isWindow = false;
  /** That was disproved, and is not tried again. */
  #isBucket = false;
  /** The sum of upward corrections since. */
  #corrected = 0;
  /** Requests may start sooner than known; reset by the reader. */
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

  earliest(now: Instant, input: number, output: number): Instant {
    let at = now;
    for (const one of this.#all) {
      if (!this.#applies(one, now)) continue;
      const opensAt = one.earliest(now, one.amountOf(input, output));
      at = Math.max(at, opensAt === Infinity ? this.#tooLargeUntil(one, now) : Math.min(opensAt, this.#probeAt(one)));
    }
    return at;
  }

  /** Advertised values may be wrong, so a call is tried after this. */
  #probeAt(one: AdvertisedLimit): Instant {
    return Math.max(this.#lastStartAt, one.since) + PROBE_MS;
  }

  /** Requests above the limit would never reveal a larger limit: one is tried after a while. */
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
      const amount = one.amountOf(input, output);
      if (this.#applies(one, now) && one.earliest(now, amount) > now) one.probedAt = now;
      one.take(now, amount);
    }
  }

  /** Gives back what was reserved in excess; below zero: takes the excess usage. */
  giveBack(now: Instant, takenAt: Instant, input: number, output: number): void {
    this.#starts.giveBack(input, output);
    for (const one of this.#all) {
      const amount = one.amountOf(input, output);
      if (amount >= 0) one.giveBack(now, amount, takenAt);
      else if (takenAt > one.since) one.take(now, -amount);
    }
  }

  /** The smallest limit that counts input; 0: there is none. */
  get inputLimit(): number {
    let least = 0;
    for (const { counts, limit } of this.#all) if (counts !== 'output' && (least === 0 || limit < least)) least = limit;
    return least;
  }

  /** Returns by how much more remains than was known; below zero: less. */
  advertise(now: Instant, startedAt: Instant, value: AdvertisedValue): number {
    if ((this.#distrusted & (1 << value.family)) !== 0) return 0;
    let one = this.#all.find((other) => other.family === value.family);
    const limit = value.limit ?? Math.max(one?.limit ?? 0, value.remaining ?? 0);
    if (limit > 0 && (one?.limit !== limit || one.windowMs !== value.windowMs)) one = this.#learn(now, value, limit, one);
    if (one === undefined) return 0;
    one.confirmedAt = now;
    return value.remaining === null ? 0 : this.#correct(now, startedAt, one, value.remaining);
  }

  updateRemaining(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    for (const one of this.#all) {
      if (one.family !== family) continue;
      // Without an advertised limit, a remaining amount above the largest one is a larger limit.
      if (one.isGuess && remaining > one.limit) return this.advertise(now, startedAt, one.valueOf(remaining));
      one.confirmedAt = now;
      return this.#correct(now, startedAt, one, remaining);
    }
    return 0;
  }

  served(startedAt: Instant, input: number, output: number): void {
    for (const one of this.#all) if (isDisproved(one, startedAt, one.amountOf(input, output))) this.#distrust(one);
  }

  /**
   * True if the provider had less left of a limit than the call needed, although our level allowed it. `recent`: what was accepted within
   * the last minute.
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
    this.#distrusted = 0;
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
      all.push(one);
    }
    this.#all = all;
  }

  #learn(now: Instant, value: AdvertisedValue, limit: number, before: AdvertisedLimit | undefined): AdvertisedLimit | undefined {
    if (before === undefined && this.#all.length >= ADVERTISED_MAX) return undefined;
    // Starts before the first values count from their own instants.
    const taken = before === undefined ? (this.#starts.list(now - value.windowMs) ?? []) : [];
    const one = new AdvertisedLimit(value, limit, this.#shape(value.windowMs), taken[0]?.at ?? now, taken.length > 0);
    for (const { at, input, output } of taken) one.take(at, one.amountOf(input, output));
    // A changed limit without a remaining amount: what was used of the old one is used of the new one.
    if (before !== undefined) {
      one.set(now, limit - (before.limit - before.available(now)));
      one.probedAt = before.probedAt;
      one.contradictions = before.contradictions;
    }
    this.#compare(one);
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
    if (by <= 0) return by;
    this.hasOpened = true;
    if (this.#isWindow && one.isWindow && now - one.since > WINDOW_SETTLED_MS) this.#doubtWindow(now, one, by);
    return by;
  }

  /**
   * A refusal although our level had room may mean a sliding window. That must explain it: about as much as the limit was taken within
   * the last minute. Not where the config states how the limit is counted: random refusals look the same.
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

  /** In a sliding window only what was taken a window ago comes back: repeated upward corrections disprove it. */
  #doubtWindow(now: Instant, one: AdvertisedLimit, by: number): void {
    this.#corrected += by;
    if (this.#corrected < WINDOW_WRONG_SHARE * one.limit) return;
    this.#isWindow = false;
    this.#isBucket = true;
    const { remaining, confirmedAt } = one;
    const again = this.#learn(now, { ...one.valueOf(remaining), limit: one.isGuess ? null : one.limit }, one.limit, one);
    if (again !== undefined) Object.assign(again, { remaining, confirmedAt });
  }

  /** False where it adds nothing to the configured limit, or is implausibly small and unproven. */
  #applies(one: AdvertisedLimit, now: Instant): boolean {
    const isCredible = one.isProven || one.limit * Math.max(1, MINUTE_MS / one.windowMs) >= BELIEVED_MIN[this.#options.kind];
    return isCredible && !one.isCovered(now);
  }

  #distrust(one: AdvertisedLimit): void {
    this.#distrusted |= 1 << one.family;
    this.#all = this.#all.filter((other) => other !== one);
    this.hasOpened = true;
  }

  /** Finds the configured limit of the same kind that is no wider. */
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

/** A response to more than the limit, or two to calls for which nothing was left, disproves it. */
function isDisproved(one: AdvertisedLimit, startedAt: Instant, amount: number): boolean {
  if (one.isGuess) return false;
  if (amount > DISPROVED * one.limit) return true;
  if (startedAt < one.probedAt || startedAt - one.probedAt > SECOND_MS) return false;
  one.probedAt = -Infinity;
  return ++one.contradictions > 1;
}
