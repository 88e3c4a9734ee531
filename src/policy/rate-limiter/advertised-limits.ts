/**
 * The limits of one kind that a provider has told, and what is made of its words: they may be old, mean a sliding window where a bucket
 * was thought of, or be wrong altogether. Whatever they say, a call is tried at least once a minute.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { StartHistory } from './start-history.ts';
import { AdvertisedLimit } from './advertised-limit.ts';
import type { ConfiguredLimit, AdvertisedLevel, EnforcementShape, AdvertisedValue } from './advertised-limit.ts';

export interface AdvertisedOptions extends EnforcementShape {
  readonly kind: 'requests' | 'tokens';
  /** What is configured for it, of any kind. */
  readonly configured: readonly ConfiguredLimit[];
}

/** What was taken lately, oldest first, each part at its end. */
export type Recent = readonly { readonly at: Instant; readonly amount: number }[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Words that no answer has confirmed for so long are out of date. */
const STALE_MS = 15 * MINUTE_MS;
/** A provider tells of so many limits of one kind at most. */
const ADVERTISED_MAX = 4;
/** Nobody is held back by words alone for longer than this. */
const PROBE_MS = MINUTE_MS;
/** So little a minute is not believed before a refusal. */
const BELIEVED_MIN = { requests: 3, tokens: 1_000 } as const;
/** An answer to so many times the limit disproves it; estimates are not exact. */
const DISPROVED = 1.5;
/** A sliding window refuses when about so much of its limit was taken within a minute. */
const WINDOW_SHARE_MIN = 0.85;
const WINDOW_SHARE_MAX = 1.1;
/** If so much of the limit had to be put right, it is no sliding window; not counted while what it began with may still count. */
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
  /** Families of words that were disproved, a bit each. */
  #distrusted = 0;
  /** Minutes were found to be sliding windows, whatever was thought. */
  #isWindow = false;
  /** And that was wrong: it is not found again. */
  #isBucket = false;
  /** How much more than thought remained of it since. */
  #corrected = 0;
  /** Somebody may start sooner than was thought; whoever has told of that sets it back. */
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

  /** Words may be wrong: nobody is held back by them for longer than this without a try. */
  #probeAt(one: AdvertisedLimit): Instant {
    return Math.max(this.#lastStartAt, one.since) + PROBE_MS;
  }

  /** What is out of the question is asked by nobody, so that nobody would hear of a larger limit: some time it is tried, too. */
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

  /** Gives back what was reserved too much; below zero: takes what was used on top. */
  giveBack(now: Instant, takenAt: Instant, input: number, output: number): void {
    this.#starts.giveBack(input, output);
    for (const one of this.#all) {
      const amount = one.amountOf(input, output);
      if (amount >= 0) one.giveBack(now, amount, takenAt);
      else if (takenAt > one.since) one.take(now, -amount);
    }
  }

  /** Of what is told that counts input, the least; 0: nothing is. */
  get inputLimit(): number {
    let least = 0;
    for (const { counts, limit } of this.#all) if (counts !== 'output' && (least === 0 || limit < least)) least = limit;
    return least;
  }

  /** Gives by how much more remains than was thought; below zero: less. */
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
      // Where only what remains is told, more of it than ever is a larger limit.
      if (one.isGuess && remaining > one.limit) return this.advertise(now, startedAt, one.valueOf(remaining));
      one.confirmedAt = now;
      return this.#correct(now, startedAt, one, remaining);
    }
    return 0;
  }

  served(startedAt: Instant, input: number, output: number): void {
    for (const one of this.#all) if (isDisproved(one, startedAt, one.amountOf(input, output))) this.#distrust(one);
  }

  /** True if the provider had less left of one of them than was asked, and we thought otherwise. `lately`: what was not refused of the last minute. */
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
    // What was taken before anything was told counts from when it was.
    const taken = before === undefined ? (this.#starts.list(now - value.windowMs) ?? []) : [];
    const one = new AdvertisedLimit(value, limit, this.#shape(value.windowMs), taken[0]?.at ?? now, taken.length > 0);
    for (const { at, input, output } of taken) one.take(at, one.amountOf(input, output));
    // Another limit than before, with nothing said of what remains: what was used of the old one is used of the new one.
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
   * What ours still had room for, and the provider had not, may be counted another way than thought: over a sliding window. That must
   * explain it: about as much as the limit was taken within the last minute. Not where the config says of the same limit how it is
   * counted: chance refusals look the same.
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

  /** In a sliding window nothing comes back but what was taken a window ago: where the provider has more again and again, it is none. */
  #doubtWindow(now: Instant, one: AdvertisedLimit, by: number): void {
    this.#corrected += by;
    if (this.#corrected < WINDOW_WRONG_SHARE * one.limit) return;
    this.#isWindow = false;
    this.#isBucket = true;
    const { remaining, confirmedAt } = one;
    const again = this.#learn(now, { ...one.valueOf(remaining), limit: one.isGuess ? null : one.limit }, one.limit, one);
    if (again !== undefined) Object.assign(again, { remaining, confirmedAt });
  }

  /** False where it adds nothing to what is configured, or is too little to be believed without a refusal. */
  #applies(one: AdvertisedLimit, now: Instant): boolean {
    const isCredible = one.isProven || one.limit * Math.max(1, MINUTE_MS / one.windowMs) >= BELIEVED_MIN[this.#options.kind];
    return isCredible && !one.isCovered(now);
  }

  #distrust(one: AdvertisedLimit): void {
    this.#distrusted |= 1 << one.family;
    this.#all = this.#all.filter((other) => other !== one);
    this.hasOpened = true;
  }

  /** Finds what is configured for the same thing, and no wider. */
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

/** An answer to more than the limit, or two to calls for which nothing was left: it is no limit. */
function isDisproved(one: AdvertisedLimit, startedAt: Instant, amount: number): boolean {
  if (one.isGuess) return false;
  if (amount > DISPROVED * one.limit) return true;
  if (startedAt < one.probedAt || startedAt - one.probedAt > SECOND_MS) return false;
  one.probedAt = -Infinity;
  return ++one.contradictions > 1;
}
