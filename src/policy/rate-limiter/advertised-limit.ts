import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { LaggedLevel } from './lagged-level.ts';
import type { TakenSince } from './start-history.ts';
import { guardMs } from './token-bucket.ts';
import { WindowedLevel } from './windowed-level.ts';
import type { SavedSlot } from './windowed-level.ts';

/** What a limit of tokens counts; of requests it is always `all`. */
export type CountedAs = 'all' | 'input' | 'output';

/** One limit as a provider has told it. */
export interface AdvertisedValue {
  /** Tells the limits of one provider apart, however alike they are. */
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  /** Null: only what remains was told, and what the limit is was told before, or is not known. */
  readonly limit: number | null;
  /** Null: not told. */
  readonly remaining: number | null;
}

/** A limit that somebody has configured, as far as a told one is to be compared with it. */
export interface ConfiguredLimit {
  readonly limit: number;
  readonly windowMs: number;
  /** How much of it a need takes. */
  counts(need: Need): number;
  available(now: Instant): number;
}

/** How the provider spends a window's limit: all at once, evenly over any window, or in slices. */
export interface EnforcementShape {
  readonly enforce: 'bucket' | 'sliding' | 'perSecond';
}

const SECOND_MS = 1_000;
/** A level that differs by less than this share of the limit is the same: words are rounded, and a little old. */
const SAME_SHARE = 0.005;
/** Beside a configured limit that is no wider a told one says something new only where so much less remains: words are whole numbers, and late. */
const SLACK_SHARE = 0.05;
const SLACK_MIN = 5;
const SLACK_SHARE_MAX = 0.25;

export interface AdvertisedLevel {
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  readonly limit: number;
  readonly isGuess: boolean;
  readonly level: number;
  /** Of a sliding window: what still counts. */
  readonly taken?: readonly SavedSlot[];
  readonly epochMs: number;
  readonly confirmedEpochMs: number;
}

/** A limit that the provider's own words have told, and its level, kept near to what they say remains. */
export class AdvertisedLimit {
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  readonly limit: number;
  /** Only what remains was told: the limit is the most that ever did. */
  readonly isGuess: boolean;
  /** What started before knows nothing of it. */
  readonly since: Instant;
  confirmedAt: Instant;
  /** A refusal has come since it was told: what is hard to believe is believed then. */
  isProven = false;
  /** When a call was let through although nothing should have been left; -Infinity: never. */
  probedAt: Instant = -Infinity;
  /** How many of those were served. */
  contradictions = 0;
  /** As it was told last; Infinity: never. */
  remaining = Infinity;
  /** One that is no wider than this. */
  configured: ConfiguredLimit | null = null;
  readonly #level: LaggedLevel | WindowedLevel;
  /** What flows back of itself; of a sliding window nothing is known to. */
  readonly #ratePerMs: number;
  readonly #slack: number;

  constructor(value: Omit<AdvertisedValue, 'remaining'>, limit: number, { enforce }: EnforcementShape, now: Instant, countsFirst = false) {
    const { windowMs } = value;
    this.family = value.family;
    this.counts = value.counts;
    this.windowMs = windowMs;
    this.limit = limit;
    this.isGuess = value.limit === null;
    // What starts at this very instant counts where it is known.
    this.since = countsFirst ? now - 1 : now;
    this.confirmedAt = now;
    this.#slack = Math.min(SLACK_SHARE_MAX * limit, Math.max(SLACK_MIN, SLACK_SHARE * limit));
    this.#ratePerMs = enforce === 'sliding' ? 0 : limit / windowMs;
    const share = enforce === 'perSecond' ? Math.min(1, SECOND_MS / windowMs) : 1;
    const capacity = Math.max(limit * share, Math.min(1, limit));
    this.#level =
      enforce === 'sliding'
        ? new WindowedLevel(limit, windowMs, guardMs(windowMs))
        : new LaggedLevel(capacity, this.#ratePerMs, guardMs(windowMs), now);
  }

  /**
   * True where somebody has configured a limit that is no wider, and what remains of that one is no more than here: then this one keeps
   * nobody back, so that whoever waits stands in one line for both. It does where others use up what is left.
   */
  isCovered(now: Instant): boolean {
    const { configured } = this;
    if (configured === null) return false;
    return this.#atMost(now) + this.#slack >= configured.available(now);
  }

  get isWindow(): boolean {
    return this.#level instanceof WindowedLevel;
  }

  amountOf(input: number, output: number): number {
    return this.counts === 'input' ? input : this.counts === 'output' ? output : input + output;
  }

  available(now: Instant): number {
    return this.#level.at(now);
  }

  /** The same word again, with nothing said but what remains. */
  valueOf(remaining: number): AdvertisedValue {
    const { family, counts, windowMs } = this;
    return { family, counts, windowMs, limit: null, remaining };
  }

  /** When an amount can be taken; one above the burst starts on a full bucket, and so does one above the limit until a refusal has proven that. */
  earliest(now: Instant, amount: number): Instant {
    if (amount <= 0) return now;
    const epsilon = Math.max(1e-6, this.limit * 1e-9);
    if (amount > this.limit + epsilon && this.isProven && !this.isGuess) return Infinity;
    const wanted = Math.min(amount, this.#level.capacity);
    return wanted - this.#level.at(now) <= epsilon ? now : this.#level.reaches(now, wanted);
  }

  /** When an amount can be taken after another one has been, by those who go before. */
  earliestAfter(now: Instant, before: number, amount: number): Instant {
    const at = this.earliest(now, amount);
    if (amount <= 0 || before <= 0 || at === Infinity) return at;
    const total = before + Math.min(amount, this.#level.capacity);
    if (this.#level instanceof LaggedLevel) {
      const missing = total - this.#level.at(now);
      return missing <= 0 ? at : Math.max(at, now + missing / this.#ratePerMs);
    }
    // Whatever fills one window can be taken again in the next.
    const windows = Math.max(0, Math.ceil(total / this.limit) - 1);
    return this.earliest(now, total - windows * this.limit) + windows * this.windowMs;
  }

  take(now: Instant, amount: number): void {
    this.#level.take(now, amount);
  }

  /** Of what was reserved at `takenAt`; ignored where that was before the limit was known. */
  giveBack(now: Instant, amount: number, takenAt: Instant): void {
    if (takenAt > this.since && amount > 0) this.#level.giveBack(now, amount, this.#level.ticketAt(takenAt));
  }

  /**
   * The provider says what remains, in the answer to a call that started at `startedAt`. Nobody knows whether it was counted when the
   * call came or when its answer went, so two bounds hold: it has no more than what remains and what flowed in since, and no less than
   * what remains but for all that started meanwhile. Ours is corrected to be within them; gives by how much.
   */
  correct(now: Instant, startedAt: Instant, remaining: number, taken: TakenSince): number {
    this.remaining = remaining;
    const refilled =
      this.#level instanceof LaggedLevel ? Math.max(0, now - startedAt) * this.#ratePerMs : this.#level.returnedSince(now, startedAt);
    const most = remaining + Math.max(0, refilled - this.amountOf(taken.netInput, taken.netOutput));
    const least = remaining - this.amountOf(taken.input, taken.output);
    const same = this.limit * SAME_SHARE;
    const level = this.#level.at(now);
    if (level > most + same) this.#level.set(now, most);
    else if (this.#atMost(now) < least - same && level < this.#level.capacity) this.#level.set(now, Math.min(least, this.#level.capacity));
    else return 0;
    return this.#level.at(now) - level;
  }

  #atMost(now: Instant): number {
    return this.#level instanceof WindowedLevel ? this.#level.atMost(now) : this.#level.at(now);
  }

  /** The same limit for a sliding window; `lately`: what was taken of it within a window, as far as that is known apart. */
  asWindow(now: Instant, recent: readonly { readonly at: Instant; readonly amount: number }[]): AdvertisedLimit {
    const { family, counts, windowMs, limit, isGuess, configured, remaining, confirmedAt } = this;
    const window = new AdvertisedLimit({ family, counts, windowMs, limit: isGuess ? null : limit }, limit, { enforce: 'sliding' }, now);
    const sum = recent.reduce((all, { amount }) => all + amount, 0);
    const used = Math.max(0, limit - Math.max(0, Math.min(remaining, this.#level.at(now))));
    const parts =
      sum > 0 ? recent.map(({ at, amount }) => ({ epochMs: at, amount: (amount * used) / sum })) : [{ epochMs: now, amount: used }];
    window.restore(now, now, { ...window.save(now, now), taken: parts });
    return Object.assign(window, { configured, remaining, confirmedAt });
  }

  /** From here on: what is known of another limit's level, or what somebody has saved. */
  set(now: Instant, level: number): void {
    this.#level.set(now, Math.min(level, this.#level.capacity));
  }

  /** The same as long as nothing happens, so that it is not written again and again. */
  save(now: Instant, epochMs: number): AdvertisedLevel {
    const { family, counts, windowMs, limit, isGuess } = this;
    const level = this.#level.at(now);
    // The two clocks drift by fractions.
    const confirmedEpochMs = Math.round((epochMs - (now - this.confirmedAt)) / SECOND_MS) * SECOND_MS;
    return {
      family,
      counts,
      windowMs,
      limit,
      isGuess,
      level,
      ...(this.#level instanceof WindowedLevel ? { taken: this.#level.save(now, epochMs) } : {}),
      epochMs: level < this.#level.capacity ? epochMs : confirmedEpochMs,
      confirmedEpochMs,
    };
  }

  restore(now: Instant, epochMs: number, saved: AdvertisedLevel): void {
    if (this.#level instanceof WindowedLevel) {
      this.#level.restore(now, epochMs, saved.taken ?? [{ epochMs: saved.epochMs, amount: Math.max(0, this.limit - saved.level) }]);
    } else this.#level.restore(now, saved.level, Math.max(0, epochMs - saved.epochMs));
    this.confirmedAt = now - Math.max(0, epochMs - saved.confirmedEpochMs);
  }
}
