/** What the calls of one request used and cost, the answer's own and those that brought nothing. */
import type { TokenUsage } from '../../core/facts.ts';
import type { Wasted } from '../../core/events.ts';
import type { RouteTarget } from '../route/route.ts';

/** Sums of prices are rounded to so many digits: a difference of two of them would show the error of binary fractions. */
const DIGITS = 12;

export class Spending {
  /** Of all calls whose usage is known; null: there is none. */
  usage: TokenUsage | null = null;
  /** Of all of them, in US dollars; null: there is none, or one of them has no price. */
  costUsd: number | null = null;
  #calls = 0;
  /** What an answer without usage is taken to have used; null: there is none. */
  #estimated: TokenUsage | null = null;

  /** A call has ended; null: its usage is not known. Returns its cost in US dollars; null: unknown. */
  add(target: RouteTarget, usage: TokenUsage | null): number | null {
    if (usage === null) return null;
    const cost = costUsd(target, usage);
    if (this.usage === null) this.costUsd = cost;
    else this.costUsd = cost === null || this.costUsd === null ? null : rounded(this.costUsd + cost);
    this.usage = this.usage === null ? usage : combined(this.usage, usage, 1);
    this.#calls++;
    return cost;
  }

  /** An answer came without its usage. */
  estimate(usage: TokenUsage): void {
    this.#estimated = usage;
  }

  /** For the client's own limits: what is known, and what is estimated; null: neither is there. */
  get counted(): TokenUsage | null {
    if (this.#estimated === null || this.usage === null) return this.#estimated ?? this.usage;
    return combined(this.usage, this.#estimated, 1);
  }

  /** What was used beside the answer; `own`: the answer's usage, null: unknown, or there was no answer. Undefined: nothing was. */
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

/** What a call cost in US dollars; null where usage or prices are not known. */
export function costUsd(target: RouteTarget, usage: TokenUsage | null): number | null {
  const { price } = target.state;
  if (price === null || usage === null) return null;
  const written = usage.cacheWriteTokens ?? 0;
  const uncached = Math.max(0, usage.inputTokens - usage.cachedInputTokens - written);
  const input = uncached * price.input + usage.cachedInputTokens * price.cachedInput + written * price.cacheWrite;
  return (input + usage.outputTokens * price.output) / 1e6;
}

/** `a` and `b`, or with -1 `a` without `b`. */
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
