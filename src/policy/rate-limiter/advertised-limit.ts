import type { Instant } from '../../core/clock.ts';
import type { Need } from '../../core/resource.ts';
import { LaggedLevel } from './lagged-level.ts';
import { SharedView } from './shared-limit.ts';
import type { CountedAs, SharedLimit } from './shared-limit.ts';
import type { StartHistory, TakenSince } from './start-history.ts';
import { guardMs } from './token-bucket.ts';
import { WindowedLevel } from './windowed-level.ts';
import type { SavedSlot } from './windowed-level.ts';

/** One limit as a provider advertises it. */
export interface AdvertisedValue {
  /** Identifies the limit among those of one provider. */
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  /** Null: only the remaining amount was sent; the limit is known from before, or unknown. */
  readonly limit: number | null;
  /** Null: not sent. */
  readonly remaining: number | null;
}

/** A configured limit, as far as it is compared with an advertised one. */
export interface ConfiguredLimit {
  readonly limit: number;
  readonly windowMs: number;
  /** The amount that a need takes of it. */
  counts(need: Need): number;
  available(now: Instant): number;
}

/** How the provider enforces a limit per window: as a token bucket, as a sliding window, or in slices of one second. */
export interface EnforcementShape {
  readonly enforce: 'bucket' | 'sliding' | 'perSecond';
}

const SECOND_MS = 1_000;
/** Levels that differ by less than this share of the limit are equal: reported values are rounded and slightly old. */
const SAME_SHARE = 0.005;
/**
 * Beside a configured limit with the same window that is no larger, an advertised one applies only where this much less remains, because
 * values are rounded and late.
 */
const TOLERANCE_SHARE = 0.05;
const TOLERANCE_MIN = 5;
const TOLERANCE_SHARE_MAX = 0.25;

export interface AdvertisedLevel {
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  readonly limit: number;
  readonly isGuess: boolean;
  readonly level: number;
  /** Of a sliding window: the amounts that still count. */
  readonly taken?: readonly SavedSlot[];
  readonly epochMs: number;
  readonly confirmedEpochMs: number;
}

/** A limit from rate-limit headers. Its level follows the reported remaining amounts. */
export class AdvertisedLimit {
  readonly family: number;
  readonly counts: CountedAs;
  readonly windowMs: number;
  readonly limit: number;
  /** Only remaining amounts were sent: the limit is the largest of them. */
  readonly isGuess: boolean;
  /** Earlier starts do not count against it. */
  readonly since: Instant;
  confirmedAt: Instant;
  /** A refusal has come since it was advertised, so implausible values are accepted too. */
  isProven = false;
  /** When a call was admitted although nothing remained; -Infinity: never. */
  probedAt: Instant = -Infinity;
  /** How many of those calls were served. */
  contradictions = 0;
  /** The last reported amount; Infinity: none. */
  remaining = Infinity;
  /** When its call started, and when it was received. */
  #reportStartedAt: Instant;
  #reportedAt: Instant;
  readonly #others: SharedView;
  /** The last report is to be sent to the other instances. */
  isNews = false;
  /** A configured limit with the same window that is no larger; null: none. */
  configured: ConfiguredLimit | null = null;
  readonly #level: LaggedLevel | WindowedLevel;
  /** The provider's refill rate; 0 for a sliding window. */
  readonly #ratePerMs: number;
  /** How many instances take of the refill. */
  #instances = 1;
  readonly #tolerance: number;

  constructor(value: Omit<AdvertisedValue, 'remaining'>, limit: number, { enforce }: EnforcementShape, now: Instant, countsFirst = false) {
    const { windowMs } = value;
    this.family = value.family;
    this.counts = value.counts;
    this.windowMs = windowMs;
    this.limit = limit;
    this.isGuess = value.limit === null;
    // With `countsFirst`, starts at this very instant count.
    this.since = countsFirst ? now - 1 : now;
    this.confirmedAt = now;
    this.#reportStartedAt = now;
    this.#reportedAt = now;
    this.#others = new SharedView(limit, windowMs);
    this.#tolerance = Math.min(TOLERANCE_SHARE_MAX * limit, Math.max(TOLERANCE_MIN, TOLERANCE_SHARE * limit));
    this.#ratePerMs = enforce === 'sliding' ? 0 : limit / windowMs;
    const share = enforce === 'perSecond' ? Math.min(1, SECOND_MS / windowMs) : 1;
    const capacity = Math.max(limit * share, Math.min(1, limit));
    this.#level =
      enforce === 'sliding'
        ? new WindowedLevel(limit, windowMs, guardMs(windowMs))
        : new LaggedLevel(capacity, this.#ratePerMs, guardMs(windowMs), now);
  }

  /**
   * True where a configured limit is no larger and no more is available of it than of this one. This limit then does not apply, so that
   * requests wait in a single queue. It does apply where other users of the key use up the remaining amount.
   */
  isCovered(now: Instant): boolean {
    const { configured } = this;
    if (configured === null) return false;
    return this.#atMost(now) + this.#tolerance >= configured.available(now);
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

  /** A value of the same limit, with only a remaining amount. */
  valueOf(remaining: number): AdvertisedValue {
    const { family, counts, windowMs } = this;
    return { family, counts, windowMs, limit: null, remaining };
  }

  /**
   * When an amount can be taken. An amount above the burst starts on a full bucket; so does one above the limit until a refusal confirms
   * the limit.
   */
  earliest(now: Instant, amount: number): Instant {
    if (amount <= 0) return now;
    const epsilon = Math.max(1e-6, this.limit * 1e-9);
    if (amount > this.limit + epsilon && this.isProven && !this.isGuess) return Infinity;
    const wanted = Math.min(amount, this.#level.capacity);
    return wanted - this.#level.at(now) <= epsilon ? now : this.#level.reaches(now, wanted);
  }

  /** When an amount can be taken after another amount that is ahead of it. */
  earliestAfter(now: Instant, before: number, amount: number): Instant {
    const at = this.earliest(now, amount);
    if (amount <= 0 || before <= 0 || at === Infinity) return at;
    const total = before + Math.min(amount, this.#level.capacity);
    if (this.#level instanceof LaggedLevel) {
      const missing = total - this.#level.at(now);
      return missing <= 0 ? at : Math.max(at, now + (missing * this.#instances) / this.#ratePerMs);
    }
    // What fills one window can be taken again in the next.
    const windows = Math.max(0, Math.ceil(total / this.limit) - 1);
    return this.earliest(now, total - windows * this.limit) + windows * this.windowMs;
  }

  /**
   * All instances see the same remaining amount. If each counted on the whole refill, they would start several calls for each one that is
   * refilled; so each counts on its part, and on what the others leave once a report shows it. A configured limit is divided already.
   */
  divide(now: Instant, instances: number): void {
    const divisor = this.configured === null ? instances : 1;
    if (divisor === this.#instances || !(this.#level instanceof LaggedLevel)) return;
    this.#instances = divisor;
    this.#level.configure(now, this.#level.capacity, this.#ratePerMs / divisor);
  }

  take(now: Instant, amount: number): void {
    this.#level.take(now, amount);
  }

  /** Gives back a part of what was reserved at `takenAt`; ignored where that was before the limit was known. */
  giveBack(now: Instant, amount: number, takenAt: Instant): void {
    if (takenAt > this.since && amount > 0) this.#level.giveBack(now, amount, this.#level.ticketAt(takenAt));
  }

  /**
   * Applies a remaining amount from the response to a call that started at `startedAt`. The provider may have counted the call on arrival
   * or at the end of its response, so the report implies two bounds: at most the remaining amount plus the refill since the start; at least
   * the remaining amount less everything that started meanwhile. The level is moved into these bounds. Returns the change.
   */
  correct(now: Instant, startedAt: Instant, remaining: number, taken: TakenSince): number {
    this.remaining = remaining;
    this.#reportStartedAt = startedAt;
    this.#reportedAt = now;
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

  /** The limit with its last report, for the other instances. */
  share(now: Instant): SharedLimit {
    const { family, counts, windowMs, limit, isGuess, remaining } = this;
    return {
      family,
      counts,
      windowMs,
      limit,
      isGuess,
      remaining: remaining === Infinity ? null : remaining,
      startedAgoMs: Math.max(0, Math.ceil(now - this.#reportStartedAt)),
      agoMs: Math.max(0, Math.floor(now - this.#reportedAt)),
    };
  }

  /** All instances have its last report. */
  noteShared(now: Instant): void {
    this.isNews = false;
    this.#others.note(now, this.#reportedAt, this.remaining);
  }

  /**
   * Applies a report that another instance received. The provider counts the calls of all instances together, so the report bounds what
   * remains, whether it was made at the start of its call or with its response: at most the reported amount, plus the refill since, less
   * what this instance has started since. Raises nothing. Returns the change.
   */
  lower(now: Instant, { remaining, startedAgoMs, agoMs }: SharedLimit, starts: StartHistory): number {
    if (remaining === null) return 0;
    const reportedAt = now - agoMs;
    this.#others.note(now, reportedAt, remaining);
    if (this.remaining === Infinity || reportedAt > this.#reportedAt) {
      this.remaining = remaining;
      this.#reportStartedAt = now - startedAgoMs;
      this.#reportedAt = reportedAt;
    }
    // What was used before the window is no longer in it.
    if (this.isWindow && agoMs >= this.windowMs) return 0;
    const most = remaining + Math.max(this.#gainedSince(now, now - startedAgoMs, starts), this.#gainedSince(now, reportedAt, starts));
    const level = this.#level.at(now);
    if (level <= most + this.limit * SAME_SHARE) return 0;
    if (this.#level instanceof WindowedLevel) this.#level.set(now, most, reportedAt);
    else this.#level.set(now, most);
    return this.#level.at(now) - level;
  }

  /** The refill since an instant, less what was taken since. A start just before it may have been counted later. */
  #gainedSince(now: Instant, since: Instant, starts: StartHistory): number {
    const refilled = this.#level instanceof LaggedLevel ? (now - since) * this.#ratePerMs : this.#level.returnedSince(now, since);
    const { netInput, netOutput } = starts.atLeastSince(since - guardMs(this.windowMs));
    return refilled - this.amountOf(netInput, netOutput);
  }

  /** Notes whether its last report is to be sent. A limit that a configured one covers is not: its shares are divided already. */
  noteReport(now: Instant): void {
    if (this.#others.isNews(now, this.remaining) && !this.isCovered(now)) this.isNews = true;
  }

  #atMost(now: Instant): number {
    return this.#level instanceof WindowedLevel ? this.#level.atMost(now) : this.#level.at(now);
  }

  /** Converts the limit to a sliding window. `recent`: the known amounts taken within the last window. */
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

  /** Sets the level, from another limit or a saved one. */
  set(now: Instant, level: number): void {
    this.#level.set(now, Math.min(level, this.#level.capacity));
  }

  /** Returns equal values while nothing happens, so that they are not written again. */
  save(now: Instant, epochMs: number): AdvertisedLevel {
    const { family, counts, windowMs, limit, isGuess } = this;
    const level = this.#level.at(now);
    // The two clocks drift by fractions of a second.
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
