/**
 * The limits of one kind that a provider has told, and what is made of its words: they may be old, mean a sliding window where a bucket
 * was thought of, or be wrong altogether. Whatever they say, a call is tried at least once a minute.
 */
import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { StartHistory } from './start-history.ts';
import { ToldLimit } from './told-limit.ts';
import type { ConfiguredLimit, ToldLevel, ToldShape, ToldWord } from './told-limit.ts';

export interface ToldOptions extends ToldShape {
  readonly kind: 'requests' | 'tokens';
  /** What is configured for it, of any kind. */
  readonly configured: readonly ConfiguredLimit[];
}

/** What was taken lately, oldest first, each part at its end. */
export type Lately = readonly { readonly at: Instant; readonly amount: number }[];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Words that no answer has confirmed for so long are out of date. */
const STALE_MS = 15 * MINUTE_MS;
/** A provider tells of so many limits of one kind at most. */
const TOLD_MAX = 4;
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
const SLIDING: ToldShape = { enforce: 'sliding' };
const ONE_REQUEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const ONE_INPUT: Need = { requests: 0, inputTokens: 1, outputTokens: 0 };
const ONE_OUTPUT: Need = { requests: 0, inputTokens: 0, outputTokens: 1 };

export class ToldLimits {
  #options: ToldOptions;
  #all: readonly ToldLimit[] = [];
  readonly #starts = new StartHistory();
  #lastStartAt: Instant = -Infinity;
  /** Families of words that were disproved, a bit each. */
  #distrusted = 0;
  /** Minutes were found to be sliding windows, whatever was thought. */
  #isWindow = false;
  /** And that was wrong: it is not found again. */
  #isBucket = false;
  /** How much more than thought remained of it since. */
  #putRight = 0;
  /** Somebody may start sooner than was thought; whoever has told of that sets it back. */
  isNews = false;

  constructor(options: ToldOptions) {
    this.#options = options;
  }

  configure(options: ToldOptions): void {
    this.#options = options;
    for (const told of this.#all) this.#compare(told);
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  get all(): readonly ToldLimit[] {
    return this.#all;
  }

  earliest(now: Instant, input: number, output: number): Instant {
    let at = now;
    for (const told of this.#all) {
      if (!this.#isHeeded(told, now)) continue;
      const toldAt = told.earliest(now, told.amountOf(input, output));
      at = Math.max(at, toldAt === Infinity ? this.#tooLargeUntil(told, now) : Math.min(toldAt, this.#triedAt(told)));
    }
    return at;
  }

  /** Words may be wrong: nobody is held back by them for longer than this without a try. */
  #triedAt(told: ToldLimit): Instant {
    return Math.max(this.#lastStartAt, told.since) + PROBE_MS;
  }

  /** What is out of the question is asked by nobody, so that nobody would hear of a larger limit: some time it is tried, too. */
  #tooLargeUntil(told: ToldLimit, now: Instant): Instant {
    return now - Math.max(this.#lastStartAt, told.confirmedAt) > staleMs(told) ? now : Infinity;
  }

  /** After `aheadInput` and `aheadOutput` have been taken by others. */
  earliestAfter(now: Instant, aheadInput: number, aheadOutput: number, input: number, output: number): Instant {
    let at = this.earliest(now, input, output);
    for (const told of this.#all) {
      if (!this.#isHeeded(told, now)) continue;
      at = Math.max(at, told.earliestAfter(now, told.amountOf(aheadInput, aheadOutput), told.amountOf(input, output)));
    }
    return at;
  }

  take(now: Instant, input: number, output: number): void {
    this.#starts.take(now, input, output);
    this.#lastStartAt = now;
    for (const told of this.#all) {
      const amount = told.amountOf(input, output);
      if (this.#isHeeded(told, now) && told.earliest(now, amount) > now) told.probedAt = now;
      told.take(now, amount);
    }
  }

  /** Gives back what was reserved too much; below zero: takes what was used on top. */
  giveBack(now: Instant, takenAt: Instant, input: number, output: number): void {
    this.#starts.giveBack(input, output);
    for (const told of this.#all) {
      const amount = told.amountOf(input, output);
      if (amount >= 0) told.giveBack(now, amount, takenAt);
      else if (takenAt > told.since) told.take(now, -amount);
    }
  }

  /** Of what is told that counts input, the least; 0: nothing is. */
  get inputLimit(): number {
    let least = 0;
    for (const { counts, limit } of this.#all) if (counts !== 'output' && (least === 0 || limit < least)) least = limit;
    return least;
  }

  /** Gives by how much more remains than was thought; below zero: less. */
  tell(now: Instant, startedAt: Instant, word: ToldWord): number {
    if ((this.#distrusted & (1 << word.family)) !== 0) return 0;
    let told = this.#all.find((one) => one.family === word.family);
    const limit = word.limit ?? Math.max(told?.limit ?? 0, word.remaining ?? 0);
    if (limit > 0 && (told?.limit !== limit || told.windowMs !== word.windowMs)) told = this.#know(now, word, limit, told);
    if (told === undefined) return 0;
    told.confirmedAt = now;
    return word.remaining === null ? 0 : this.#correct(now, startedAt, told, word.remaining);
  }

  remains(now: Instant, startedAt: Instant, family: number, remaining: number): number {
    for (const told of this.#all) {
      if (told.family !== family) continue;
      // Where only what remains is told, more of it than ever is a larger limit.
      if (told.isGuess && remaining > told.limit) return this.tell(now, startedAt, told.wordOf(remaining));
      told.confirmedAt = now;
      return this.#correct(now, startedAt, told, remaining);
    }
    return 0;
  }

  served(startedAt: Instant, input: number, output: number): void {
    for (const told of this.#all) if (isDisproved(told, startedAt, told.amountOf(input, output))) this.#distrust(told);
  }

  /** True if the provider had less left of one of them than was asked, and we thought otherwise. `lately`: what was not refused of the last minute. */
  refused(now: Instant, startedAt: Instant, input: number, output: number, lately: Lately): boolean {
    let isExplained = false;
    for (const told of this.#all) {
      if (startedAt <= told.since) continue;
      told.isProven = true;
      if (told.remaining >= told.amountOf(input, output)) continue;
      isExplained = true;
      this.#doubtBucket(now, told, lately);
    }
    return isExplained;
  }

  forgetStale(now: Instant): void {
    for (const told of this.#all) {
      if (now - told.confirmedAt <= staleMs(told)) continue;
      this.#all = this.#all.filter((one) => one !== told);
    }
  }

  reset(): void {
    this.#all = [];
    this.#distrusted = 0;
    this.#isWindow = false;
    this.#isBucket = false;
  }

  save(now: Instant, epochMs: number): ToldLevel[] {
    return this.#all.map((one) => one.save(now, epochMs));
  }

  restore(now: Instant, epochMs: number, saved: readonly ToldLevel[]): void {
    const all: ToldLimit[] = [];
    for (const one of saved.slice(0, TOLD_MAX)) {
      if (epochMs - one.confirmedEpochMs > staleMs(one)) continue;
      if (one.taken !== undefined) this.#isWindow = true;
      const told = new ToldLimit({ ...one, limit: one.isGuess ? null : one.limit }, one.limit, this.#shape(one.windowMs), now);
      told.restore(now, epochMs, one);
      this.#compare(told);
      all.push(told);
    }
    this.#all = all;
  }

  #know(now: Instant, word: ToldWord, limit: number, before: ToldLimit | undefined): ToldLimit | undefined {
    if (before === undefined && this.#all.length >= TOLD_MAX) return undefined;
    // What was taken before anything was told counts from when it was.
    const taken = before === undefined ? (this.#starts.list(now - word.windowMs) ?? []) : [];
    const told = new ToldLimit(word, limit, this.#shape(word.windowMs), taken[0]?.at ?? now, taken.length > 0);
    for (const { at, input, output } of taken) told.take(at, told.amountOf(input, output));
    // Another limit than before, with nothing said of what remains: what was used of the old one is used of the new one.
    if (before !== undefined) {
      told.set(now, limit - (before.limit - before.available(now)));
      told.probedAt = before.probedAt;
      told.contradictions = before.contradictions;
    }
    this.#compare(told);
    this.isNews = true;
    this.#all = [...this.#all.filter((one) => one !== before), told];
    return told;
  }

  #shape(windowMs: number): ToldShape {
    return this.#isWindow && windowMs === MINUTE_MS ? SLIDING : this.#options;
  }

  #correct(now: Instant, startedAt: Instant, told: ToldLimit, remaining: number): number {
    const taken = this.#starts.since(startedAt);
    const by = taken === null ? 0 : told.correct(now, startedAt, remaining, taken);
    if (by <= 0) return by;
    this.isNews = true;
    if (this.#isWindow && told.isWindow && now - told.since > WINDOW_SETTLED_MS) this.#doubtWindow(now, told, by);
    return by;
  }

  /**
   * What ours still had room for, and the provider had not, may be counted another way than thought: over a sliding window. That must
   * explain it: about as much as the limit was taken within the last minute. Not where the config says of the same limit how it is
   * counted: chance refusals look the same.
   */
  #doubtBucket(now: Instant, told: ToldLimit, lately: Lately): void {
    const { enforce, kind } = this.#options;
    if (enforce !== 'bucket' || this.#isBucket || told.configured !== null || told.isWindow || told.windowMs !== MINUTE_MS) return;
    const taken = lately.reduce((sum, { amount }) => sum + amount, 0);
    if (taken < WINDOW_SHARE_MIN * told.limit || (kind === 'requests' && taken > WINDOW_SHARE_MAX * told.limit)) return;
    this.#all = this.#all.map((one) => (one === told ? told.asWindow(now, lately) : one));
    this.#isWindow = true;
    this.#putRight = 0;
  }

  /** In a sliding window nothing comes back but what was taken a window ago: where the provider has more again and again, it is none. */
  #doubtWindow(now: Instant, told: ToldLimit, by: number): void {
    this.#putRight += by;
    if (this.#putRight < WINDOW_WRONG_SHARE * told.limit) return;
    this.#isWindow = false;
    this.#isBucket = true;
    const { remaining, confirmedAt } = told;
    const again = this.#know(now, { ...told.wordOf(remaining), limit: told.isGuess ? null : told.limit }, told.limit, told);
    if (again !== undefined) Object.assign(again, { remaining, confirmedAt });
  }

  /** False where it adds nothing to what is configured, or is too little to be believed without a refusal. */
  #isHeeded(told: ToldLimit, now: Instant): boolean {
    const isCredible = told.isProven || told.limit * Math.max(1, MINUTE_MS / told.windowMs) >= BELIEVED_MIN[this.#options.kind];
    return isCredible && !told.isCovered(now);
  }

  #distrust(told: ToldLimit): void {
    this.#distrusted |= 1 << told.family;
    this.#all = this.#all.filter((one) => one !== told);
    this.isNews = true;
  }

  /** Finds what is configured for the same thing, and no wider. */
  #compare(told: ToldLimit): void {
    const isSame = (one: ConfiguredLimit): boolean => {
      if (one.windowMs !== told.windowMs || one.limit > told.limit) return false;
      if (this.#options.kind === 'requests') return one.counts(ONE_REQUEST) > 0;
      return one.counts(ONE_INPUT) > 0 === (told.counts !== 'output') && one.counts(ONE_OUTPUT) > 0 === (told.counts !== 'input');
    };
    told.configured = this.#options.configured.find(isSame) ?? null;
  }
}

function staleMs({ windowMs }: Pick<ToldLimit, 'windowMs'>): number {
  return Math.max(STALE_MS, windowMs);
}

/** An answer to more than the limit, or two to calls for which nothing was left: it is no limit. */
function isDisproved(told: ToldLimit, startedAt: Instant, amount: number): boolean {
  if (told.isGuess) return false;
  if (amount > DISPROVED * told.limit) return true;
  if (startedAt < told.probedAt || startedAt - told.probedAt > SECOND_MS) return false;
  told.probedAt = -Infinity;
  return ++told.contradictions > 1;
}
