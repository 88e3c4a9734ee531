/** Usage and cost of the calls of one request: that of the response, and those wasted. */
import type { PaidCall, Wasted } from '../../core/events.ts';
import type { TokenUsage } from '../../core/facts.ts';
import { costOf } from '../../core/price.ts';
import type { RouteTarget } from '../route/route.ts';

/** Sums of costs are rounded to this many digits, to hide the error of binary fractions. */
const DIGITS = 12;

interface Call {
  readonly target: RouteTarget;
  /** Null: the response reported none. */
  readonly usage: TokenUsage | null;
}

export class Spending {
  /** Of all calls with known usage; null: none. */
  usage: TokenUsage | null = null;
  /** Of all calls, in US dollars; null: none, or one of them has no price. */
  costUsd: number | null = null;
  /** Known and estimated cost in US dollars; calls without a price count nothing. */
  chargedUsd = 0;
  readonly #calls: Call[] = [];
  /** The targets whose content was passed on; a continuation has several. */
  readonly #committed: RouteTarget[] = [];
  /** Estimated usage of a response that reports none; null: none. */
  #estimated: TokenUsage | null = null;

  /** Adds a finished call that the provider bills. `usage` null: not reported. Returns its cost in US dollars; null: unknown. */
  add(target: RouteTarget, usage: TokenUsage | null): number | null {
    this.#calls.push({ target, usage });
    if (usage === null) return null;
    const cost = costUsd(target, usage);
    if (this.usage === null) this.costUsd = cost;
    else this.costUsd = cost === null || this.costUsd === null ? null : rounded(this.costUsd + cost);
    this.usage = this.usage === null ? usage : combined(this.usage, usage, 1);
    this.chargedUsd += cost ?? 0;
    return cost;
  }

  /** Adds the estimated usage of a response that reports none, or only a part of it. */
  estimate(target: RouteTarget, usage: TokenUsage): void {
    this.#estimated = this.#estimated === null ? usage : combined(this.#estimated, usage, 1);
    this.chargedUsd += costUsd(target, usage) ?? 0;
  }

  /** Known and estimated usage, for the client's own limits; null: neither. */
  get counted(): TokenUsage | null {
    if (this.#estimated === null || this.usage === null) return this.#estimated ?? this.usage;
    return combined(this.usage, this.#estimated, 1);
  }

  /** The billed calls; the one whose response the caller received is not wasted. `own`: the usage of that response. */
  callsApartFrom(target: RouteTarget | null, own: TokenUsage | null): readonly PaidCall[] {
    const delivered = new Set<number>();
    const last = this.#calls.findLastIndex((call) => call.target === target && call.usage === own);
    delivered.add(last >= 0 ? last : this.#calls.findLastIndex((call) => call.target === target));
    for (const committed of this.#committed) {
      if (committed !== target) delivered.add(this.#calls.findLastIndex((call, i) => call.target === committed && !delivered.has(i)));
    }
    return this.#calls.map(({ target: { state }, usage }, i) => ({ target: state.name, usage, wasted: !delivered.has(i) }));
  }

  /** Content of the target is passed on to the caller. */
  commit(target: RouteTarget): void {
    this.#committed.push(target);
  }

  /** Usage besides that of the response; `own`: the response's usage, null: unknown, or no response. Undefined: none. */
  wastedApartFrom(target: RouteTarget | null, own: TokenUsage | null): Wasted | undefined {
    if (this.usage === null) return undefined;
    if (target === null || own === null) return { usage: this.usage, costUsd: this.costUsd };
    if (this.#calls.length === 1) return undefined;
    const rest = combined(this.usage, own, -1);
    if (rest.inputTokens === 0 && rest.outputTokens === 0) return undefined;
    const ownCost = costUsd(target, own);
    return { usage: rest, costUsd: this.costUsd === null || ownCost === null ? null : rounded(this.costUsd - ownCost) };
  }
}

/** The cost of a call in US dollars; null if usage or prices are unknown. */
export function costUsd(target: RouteTarget, usage: TokenUsage | null): number | null {
  const { price } = target.state;
  return price === null || usage === null ? null : costOf(price, usage);
}

/** `a + sign * b`, without the classes that only prices need. */
function combined(a: TokenUsage, b: TokenUsage, sign: 1 | -1): TokenUsage {
  const cacheWriteTokens = (a.cacheWriteTokens ?? 0) + sign * (b.cacheWriteTokens ?? 0);
  const reasoningTokens = (a.reasoningTokens ?? 0) + sign * (b.reasoningTokens ?? 0);
  return {
    inputTokens: a.inputTokens + sign * b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + sign * b.cachedInputTokens,
    outputTokens: a.outputTokens + sign * b.outputTokens,
    ...(cacheWriteTokens === 0 ? {} : { cacheWriteTokens }),
    ...(reasoningTokens === 0 ? {} : { reasoningTokens }),
  };
}

function rounded(cost: number): number {
  return Number(cost.toPrecision(DIGITS));
}
