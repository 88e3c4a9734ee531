/** Usage and cost of the calls of one request: that of the response, and those wasted. */
import type { TokenUsage } from '../../core/facts.ts';
import type { Wasted } from '../../core/events.ts';
import type { RouteTarget } from '../route/route.ts';

/** Sums of prices are rounded to this many digits, to hide the error of binary fractions in their differences. */
const DIGITS = 12;

export class Spending {
  /** Of all calls with known usage; null: none. */
  usage: TokenUsage | null = null;
  /** Of all calls, in US dollars; null: none, or one of them has no price. */
  costUsd: number | null = null;
  #calls = 0;
  /** Estimated usage of a response that reports none; null: none. */
  #estimated: TokenUsage | null = null;

  /** Adds a finished call; `usage` null: unknown. Returns its cost in US dollars; null: unknown. */
  add(target: RouteTarget, usage: TokenUsage | null): number | null {
    if (usage === null) return null;
    const cost = costUsd(target, usage);
    if (this.usage === null) this.costUsd = cost;
    else this.costUsd = cost === null || this.costUsd === null ? null : rounded(this.costUsd + cost);
    this.usage = this.usage === null ? usage : combined(this.usage, usage, 1);
    this.#calls++;
    return cost;
  }

  /** Sets the estimated usage of a response that reports none. */
  estimate(usage: TokenUsage): void {
    this.#estimated = usage;
  }

  /** Known and estimated usage, for the client's own limits; null: neither. */
  get counted(): TokenUsage | null {
    if (this.#estimated === null || this.usage === null) return this.#estimated ?? this.usage;
    return combined(this.usage, this.#estimated, 1);
  }

  /** Usage besides that of the response; `own`: the response's usage, null: unknown, or no response. Undefined: none. */
  wastedApartFrom(target: RouteTarget | null, own: TokenUsage | null): Wasted | undefined {
    if (this.usage === null) return undefined;
    if (target === null || own === null) return { usage: this.usage, costUsd: this.costUsd };
    if (this.#calls === 1) return undefined;
    const ownCost = costUsd(target, own);
    return {
      usage: combined(this.usage, own, -1),
      costUsd: this.costUsd === null || ownCost === null ? null : rounded(this.costUsd - ownCost),
    };
  }
}

/** The cost of a call in US dollars; null if usage or prices are unknown. */
export function costUsd(target: RouteTarget, usage: TokenUsage | null): number | null {
  const { price } = target.state;
  if (price === null || usage === null) return null;
  const written = usage.cacheWriteTokens ?? 0;
  const uncached = Math.max(0, usage.inputTokens - usage.cachedInputTokens - written);
  const input = uncached * price.input + usage.cachedInputTokens * price.cachedInput + written * price.cacheWrite;
  return (input + usage.outputTokens * price.output) / 1e6;
}

/** `a + sign * b`. */
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
