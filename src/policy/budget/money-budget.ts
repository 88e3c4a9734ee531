import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';

export const BUDGET_PERIODS = ['hour', 'day', 'week', 'month'] as const;
export type BudgetPeriod = (typeof BUDGET_PERIODS)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** The first Monday after the epoch, in milliseconds since it. */
const FIRST_MONDAY_MS = 4 * DAY_MS;
/** Sums of binary fractions: a budget of 0.3 has room for three times 0.1. */
export const ROUNDING_USD = 1e-9;

export interface BudgetOptions {
  readonly id: string;
  readonly usd: number;
  readonly per: BudgetPeriod;
  /** The milliseconds since the epoch at an instant. */
  readonly toEpochMs: (now: Instant) => number;
}

/** The spending of one process in one period. */
export interface BudgetRecord {
  /** The start of the period, in milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly usd: number;
}

/**
 * The money that a client may spend in a calendar period (UTC). A request reserves its estimated cost; its actual cost replaces that at
 * its end, in the period in which it ends. So running requests exceed the budget by no more than their estimates were wrong.
 */
export class MoneyBudget implements Resource {
  readonly kind = 'budget';
  readonly id: string;
  readonly #toEpochMs: (now: Instant) => number;
  #usd: number;
  #per: BudgetPeriod;
  #since = -Infinity;
  #until = -Infinity;
  #spent = 0;
  /** Spent by other processes in this period. */
  #elsewhere = 0;
  #reserved = 0;

  constructor({ id, usd, per, toEpochMs }: BudgetOptions) {
    this.id = id;
    this.#usd = usd;
    this.#per = per;
    this.#toEpochMs = toEpochMs;
  }

  /** The amount of one period. Not a `limit` of the scheduler, which leaves shares of those to other classes. */
  get usd(): number {
    return this.#usd;
  }

  get per(): BudgetPeriod {
    return this.#per;
  }

  /** Another period begins anew. */
  configure(usd: number, per: BudgetPeriod): void {
    this.#usd = usd;
    if (per === this.#per) return;
    this.#per = per;
    this.#since = this.#until = -Infinity;
  }

  /** In US dollars; running requests count with their estimates. */
  remainingUsd(now: Instant): number {
    this.#roll(now);
    return this.#usd - this.#spent - this.#elsewhere - this.#reserved;
  }

  spentUsd(now: Instant): number {
    this.#roll(now);
    return this.#spent + this.#elsewhere;
  }

  /** The spending of this process alone. */
  ownUsd(now: Instant): number {
    this.#roll(now);
    return this.#spent;
  }

  /** Reserved by running requests of this process. */
  get reservedUsd(): number {
    return this.#reserved;
  }

  /** The start of the period, in milliseconds since the epoch. */
  sinceMs(now: Instant): number {
    this.#roll(now);
    return this.#since;
  }

  /** This process has neither spent nor reserved anything: a new budget would be in the same state. */
  isUntouched(now: Instant): boolean {
    this.#roll(now);
    return this.#spent === 0 && this.#reserved === 0;
  }

  /** The end of the period, in milliseconds since the epoch. */
  untilMs(now: Instant): number {
    this.#roll(now);
    return this.#until;
  }

  /** The start of the next period. */
  nextPeriod(now: Instant): Instant {
    this.#roll(now);
    return now + this.#until - this.#toEpochMs(now);
  }

  earliest(now: Instant, need: Need): Instant {
    if (need.usd === undefined || need.usd === 0) return now;
    const usd = need.usd - ROUNDING_USD;
    const remaining = this.remainingUsd(now);
    if (usd <= remaining) return now;
    if (usd > this.#usd) return Infinity;
    // Running requests may cost less than they have reserved.
    return usd <= remaining + this.#reserved ? WHEN_SETTLED : this.nextPeriod(now);
  }

  /** It has no room for `need` now, so another target is used where its client has one for this. */
  isOver(now: Instant, need: Need): boolean {
    return this.earliest(now, need) !== now;
  }

  reserve(now: Instant, need: Need): number {
    this.#roll(now);
    this.#reserved += need.usd ?? 0;
    return 0;
  }

  settle(now: Instant, _ticket: number, need: Need, { usd }: Settlement): void {
    this.#roll(now);
    this.#release(need);
    this.#spent += usd ?? need.usd ?? 0;
  }

  cancel(_now: Instant, _ticket: number, need: Need): void {
    this.#release(need);
  }

  save(now: Instant): BudgetRecord {
    this.#roll(now);
    return { sinceMs: this.#since, usd: this.#spent };
  }

  /** `usd`: all that other processes, before or beside this one, have spent in the period that began at `sinceMs`. */
  setElsewhere(now: Instant, { sinceMs, usd }: BudgetRecord): void {
    this.#roll(now);
    // Spending only grows within a period: less is what a store that is away has lost.
    if (sinceMs === this.#since) this.#elsewhere = Math.max(this.#elsewhere, usd);
  }

  #release(need: Need): void {
    this.#reserved = Math.max(0, this.#reserved - (need.usd ?? 0));
  }

  #roll(now: Instant): void {
    const epochMs = this.#toEpochMs(now);
    if (epochMs < this.#until && epochMs >= this.#since) return;
    [this.#since, this.#until] = periodAt(epochMs, this.#per);
    this.#spent = this.#elsewhere = 0;
  }
}

/** Start and end of the period, in milliseconds since the epoch. */
export function periodAt(epochMs: number, per: BudgetPeriod): [number, number] {
  if (per === 'month') {
    const date = new Date(epochMs);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    return [Date.UTC(year, month), Date.UTC(year, month + 1)];
  }
  const length = per === 'hour' ? HOUR_MS : per === 'day' ? DAY_MS : WEEK_MS;
  const first = per === 'week' ? FIRST_MONDAY_MS : 0;
  const since = first + Math.floor((epochMs - first) / length) * length;
  return [since, since + length];
}
