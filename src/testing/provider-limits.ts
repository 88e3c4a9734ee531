/** Limits as a provider enforces them, with its own count of violations. Independent of Breakwater's limiters, because it verifies them. */
import type { Instant } from '../core/clock.ts';

export interface ProviderLimits {
  readonly requestsPerSecond?: number;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  /** Input and output combined. */
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  /** Concurrent calls. */
  readonly concurrency?: number;
  /** `bucket` (default): continuous refill; `sliding`: at most the limit in any window. */
  readonly enforce?: 'bucket' | 'sliding';
  /** Share of the window's limit that can be spent at once, for `bucket`. Default 1. */
  readonly burst?: number;
  /** Reserved output that was not generated is returned when the call ends. Default true. */
  readonly givesBack?: boolean;
}

/** What one call consumes. */
export interface CallCount {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export type LimitName = Exclude<keyof ProviderLimits, 'enforce' | 'burst' | 'givesBack'>;

/** Why a call was refused; `waitMs` is Infinity if it can never pass, null for concurrency. */
export interface LimitRefusal {
  readonly by: LimitName;
  readonly waitMs: number | null;
}

export interface LimitLevel {
  readonly limit: number;
  readonly remaining: number;
  /** Time until the limit is fully available. */
  readonly resetMs: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

type RateName = Exclude<LimitName, 'concurrency'>;

const RATES: Readonly<Record<RateName, { readonly windowMs: number; readonly of: (count: CallCount) => number }>> = {
  requestsPerSecond: { windowMs: SECOND_MS, of: () => 1 },
  requestsPerMinute: { windowMs: MINUTE_MS, of: () => 1 },
  requestsPerDay: { windowMs: DAY_MS, of: () => 1 },
  tokensPerMinute: { windowMs: MINUTE_MS, of: (count) => count.inputTokens + count.outputTokens },
  tokensPerDay: { windowMs: DAY_MS, of: (count) => count.inputTokens + count.outputTokens },
  inputTokensPerMinute: { windowMs: MINUTE_MS, of: (count) => count.inputTokens },
  outputTokensPerMinute: { windowMs: MINUTE_MS, of: (count) => count.outputTokens },
};

/** What an admitted call reserves; release it with the actual usage. */
export interface Held {
  readonly taken: readonly Spent[];
  readonly count: CallCount;
}

/** The limits of one credential, or of one of its models. */
export class LimitAccount {
  readonly #limits: ProviderLimits;
  readonly #meters: readonly { readonly name: RateName; readonly meter: Meter }[];
  running = 0;

  constructor(limits: ProviderLimits) {
    this.#limits = limits;
    this.#meters = (Object.keys(RATES) as RateName[]).flatMap((name) => {
      const limit = limits[name];
      return limit === undefined ? [] : [{ name, meter: createMeter(limit, RATES[name].windowMs, limits) }];
    });
  }

  /** Null if the call fits now. */
  refusal(now: Instant, count: CallCount): LimitRefusal | null {
    const { concurrency } = this.#limits;
    if (concurrency !== undefined && this.running >= concurrency) return { by: 'concurrency', waitMs: null };
    let worst: { by: LimitName; waitMs: number } | null = null;
    for (const { name, meter } of this.#meters) {
      const waitMs = meter.waitMs(now, RATES[name].of(count));
      if (waitMs > (worst?.waitMs ?? 0)) worst = { by: name, waitMs };
    }
    return worst;
  }

  /** Reserves the amount, even if it exceeds the limit. */
  take(now: Instant, count: CallCount): Held {
    this.running++;
    return { taken: this.#meters.map(({ name, meter }) => meter.take(now, RATES[name].of(count))), count };
  }

  /** Ends a call; with `used` null the reservation stands. */
  release(now: Instant, held: Held, used: CallCount | null): void {
    this.running--;
    if (used === null) return;
    const { count } = held;
    const outputTokens = this.#limits.givesBack === false ? Math.max(count.outputTokens, used.outputTokens) : used.outputTokens;
    this.#meters.forEach(({ name, meter }, i) => meter.correct(now, held.taken[i]!, RATES[name].of({ ...used, outputTokens })));
  }

  level(now: Instant, name: LimitName): LimitLevel | null {
    return this.#meters.find((one) => one.name === name)?.meter.level(now) ?? null;
  }
}

interface Spent {
  readonly at: Instant;
  amount: number;
}

interface Meter {
  waitMs(now: Instant, amount: number): number;
  take(now: Instant, amount: number): Spent;
  correct(now: Instant, spent: Spent, amount: number): void;
  level(now: Instant): LimitLevel;
}

/** Tolerance for floating-point error. */
const EPSILON = 1e-6;

function createMeter(limit: number, windowMs: number, { enforce, burst }: ProviderLimits): Meter {
  return enforce === 'sliding' ? new Window(limit, windowMs) : new Bucket(limit, windowMs, Math.max(1, limit * (burst ?? 1)));
}

class Bucket implements Meter {
  readonly #limit: number;
  readonly #perMs: number;
  readonly #capacity: number;
  #level: number;
  #at: Instant = 0;

  constructor(limit: number, windowMs: number, capacity: number) {
    this.#limit = limit;
    this.#perMs = limit / windowMs;
    this.#capacity = capacity;
    this.#level = capacity;
  }

  /** An amount above the capacity starts on a full bucket and leaves it negative. */
  waitMs(now: Instant, amount: number): number {
    if (amount > this.#limit + EPSILON) return Infinity;
    const missing = Math.min(amount, this.#capacity) - this.#now(now);
    return missing <= EPSILON ? 0 : missing / this.#perMs;
  }

  take(now: Instant, amount: number): Spent {
    this.#level = this.#now(now) - amount;
    return { at: now, amount };
  }

  correct(now: Instant, spent: Spent, amount: number): void {
    this.#level = Math.min(this.#capacity, this.#now(now) + spent.amount - amount);
    spent.amount = amount;
  }

  level(now: Instant): LimitLevel {
    const level = this.#now(now);
    return { limit: this.#limit, remaining: Math.max(0, level), resetMs: (this.#capacity - level) / this.#perMs };
  }

  #now(now: Instant): number {
    this.#level = Math.min(this.#capacity, this.#level + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#level;
  }
}

class Window implements Meter {
  readonly #limit: number;
  readonly #windowMs: number;
  #spent: Spent[] = [];
  #used = 0;

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  waitMs(now: Instant, amount: number): number {
    if (amount > this.#limit + EPSILON) return Infinity;
    this.#forget(now);
    let missing = this.#used + amount - this.#limit;
    for (const spent of this.#spent) {
      if (missing <= EPSILON) return 0;
      missing -= spent.amount;
      if (missing <= EPSILON) return spent.at + this.#windowMs - now;
    }
    return missing <= EPSILON ? 0 : this.#windowMs;
  }

  take(now: Instant, amount: number): Spent {
    this.#forget(now);
    const spent = { at: now, amount };
    this.#spent.push(spent);
    this.#used += amount;
    return spent;
  }

  correct(now: Instant, spent: Spent, amount: number): void {
    this.#forget(now);
    if (spent.at > now - this.#windowMs) this.#used += amount - spent.amount;
    spent.amount = amount;
  }

  level(now: Instant): LimitLevel {
    this.#forget(now);
    const last = this.#spent.at(-1);
    const resetMs = last === undefined ? 0 : last.at + this.#windowMs - now;
    return { limit: this.#limit, remaining: Math.max(0, this.#limit - this.#used), resetMs };
  }

  #forget(now: Instant): void {
    let gone = 0;
    while (gone < this.#spent.length && this.#spent[gone]!.at <= now - this.#windowMs) this.#used -= this.#spent[gone++]!.amount;
    if (gone > 0) this.#spent = this.#spent.slice(gone);
    if (this.#spent.length === 0) this.#used = 0;
  }
}
