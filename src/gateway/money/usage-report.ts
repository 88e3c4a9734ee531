/** Usage and cost, grouped and priced with today's prices. */
import { exactCost, ratesFor, toUsd } from '../../core/price.ts';
import type { Price } from '../../core/price.ts';
import { addCounts, emptyCounts } from './usage-row.ts';
import type { UsageCounts, UsageRow } from './usage-row.ts';

/** What a report may be grouped by. */
export const USAGE_GROUPS = ['day', 'client', 'model', 'target', 'provider'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export interface UsageFigures {
  readonly calls: number;
  /** Calls that have no cost: their response reported no usage, or their target has no known price. */
  readonly unpricedCalls: number;
  /** All input, cached and written to a cache included. */
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  /** For minutes and for an hour. */
  readonly cacheWriteTokens: number;
  readonly cacheWrite1hTokens: number;
  readonly audioInputTokens: number;
  readonly imageInputTokens: number;
  /** All output, reasoning and audio included. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly audioOutputTokens: number;
  /** In US dollars, exact to its last digit; without unpriced calls. */
  readonly costUsd: number;
  /** The part of calls and cost whose responses were not returned to the caller. */
  readonly wastedCalls: number;
  readonly wastedCostUsd: number;
}

export type UsageLine = Readonly<Partial<Record<UsageGroup, string>>> & UsageFigures;

export interface UsageReport {
  readonly rows: readonly UsageLine[];
  readonly total: UsageFigures;
}

interface Sum {
  readonly group: Readonly<Partial<Record<UsageGroup, string>>>;
  readonly counts: UsageCounts;
  unpriced: number;
  cost: bigint;
  wastedCalls: number;
  wastedCost: bigint;
}

/** The most expensive group first, days in order. `priceOf`: null for an unknown price. */
export function usageReport(rows: readonly UsageRow[], by: readonly UsageGroup[], priceOf: (target: string) => Price | null): UsageReport {
  const prices = new Map<string, Price | null>();
  const sums = new Map<string, Sum>();
  const total = emptySum({});
  for (const row of rows) {
    let price = prices.get(row.target);
    if (price === undefined) prices.set(row.target, (price = priceOf(row.target)));
    const group = Object.fromEntries(by.map((name) => [name, valueOf(row, name)]));
    const key = JSON.stringify(Object.values(group));
    let sum = sums.get(key);
    if (sum === undefined) sums.set(key, (sum = emptySum(group)));
    add(sum, row, price);
    add(total, row, price);
  }
  const sorted = [...sums.values()].sort((a, b) => compareDays(a, b) || Number(b.cost - a.cost) || b.counts.calls - a.counts.calls);
  return { rows: sorted.map((sum) => ({ ...sum.group, ...figuresOf(sum) })), total: figuresOf(total) };
}

function valueOf(row: UsageRow, name: UsageGroup): string {
  return name === 'provider' ? row.target.slice(0, Math.max(0, row.target.indexOf('/'))) || row.target : row[name];
}

function emptySum(group: Sum['group']): Sum {
  return { group, counts: emptyCounts(), unpriced: 0, cost: 0n, wastedCalls: 0, wastedCost: 0n };
}

function add(sum: Sum, row: UsageRow, price: Price | null): void {
  addCounts(sum.counts, row);
  const cost = price === null ? 0n : exactCost(ratesFor(price, row.tier, row.size), row.tokens);
  sum.unpriced += price === null ? row.calls : row.unmeasured;
  sum.cost += cost;
  if (!row.wasted) return;
  sum.wastedCalls += row.calls;
  sum.wastedCost += cost;
}

function compareDays(a: Sum, b: Sum): number {
  const [first, second] = [a.group.day ?? '', b.group.day ?? ''];
  return first < second ? -1 : first > second ? 1 : 0;
}

function figuresOf({ counts: { calls, tokens, reasoning }, unpriced, cost, wastedCalls, wastedCost }: Sum): UsageFigures {
  const { input, cachedInput, cacheWrite, cacheWrite1h, audioInput, imageInput, output, audioOutput } = tokens;
  return {
    calls,
    unpricedCalls: unpriced,
    inputTokens: input + cachedInput + cacheWrite + cacheWrite1h + audioInput + imageInput,
    cachedInputTokens: cachedInput,
    cacheWriteTokens: cacheWrite + cacheWrite1h,
    cacheWrite1hTokens: cacheWrite1h,
    audioInputTokens: audioInput,
    imageInputTokens: imageInput,
    outputTokens: output + audioOutput,
    reasoningTokens: reasoning,
    audioOutputTokens: audioOutput,
    costUsd: toUsd(cost),
    wastedCalls,
    wastedCostUsd: toUsd(wastedCost),
  };
}
