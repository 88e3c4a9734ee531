/** Usage and cost, grouped and priced with today's prices. */
import { exactCost, isFree, ratesFor, toUsd } from '../../core/price.ts';
import type { Price, PriceBasis } from '../../core/price.ts';
import { addCounts, emptyCounts } from './usage-row.ts';
import type { UsageCounts, UsageRow } from './usage-row.ts';

/** What a report may be grouped by. */
export const USAGE_GROUPS = ['day', 'client', 'model', 'target', 'provider'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export interface UsageFigures {
  readonly calls: number;
  /** Calls whose cost is not, or not all, in `costUsd`: their response reported no usage, or broke off, or their target has no known price. */
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
  /** Of what unpriced calls did not report, by estimate, where prices are known; not part of `costUsd`. */
  readonly estimatedCostUsd: number;
  /** The part of calls and cost whose responses were not returned to the caller. */
  readonly wastedCalls: number;
  readonly wastedCostUsd: number;
}

export type UsageLine = Readonly<Partial<Record<UsageGroup, string>>> & UsageFigures;

export interface UsageReport {
  readonly rows: readonly UsageLine[];
  readonly total: UsageFigures;
  /** The store could not be read: calls of earlier days and of other processes are missing. */
  readonly incomplete?: true;
}

const NO_TOKENS = emptyCounts().tokens;

interface Sum {
  readonly group: Readonly<Partial<Record<UsageGroup, string>>>;
  readonly counts: UsageCounts;
  unpriced: number;
  cost: bigint;
  estimated: bigint;
  wastedCalls: number;
  wastedCost: bigint;
}

/** The price of a target; null: not known. */
export type PriceOf = (target: string, basis: PriceBasis | undefined) => Price | null;

/** The most expensive group first, days in order. */
export function usageReport(rows: readonly UsageRow[], by: readonly UsageGroup[], priceOf: PriceOf): UsageReport {
  const sums = new UsageSums(by, priceOf);
  for (const row of rows) sums.add(row);
  return sums.report();
}

/** The same for rows that are added one by one. */
export class UsageSums {
  readonly #by: readonly UsageGroup[];
  readonly #priceOf: PriceOf;
  readonly #prices = new Map<string, Price | null>();
  readonly #sums = new Map<string, Sum>();
  readonly #total = emptySum({});

  constructor(by: readonly UsageGroup[], priceOf: PriceOf) {
    this.#by = by;
    this.#priceOf = priceOf;
  }

  add(row: UsageRow): void {
    const price = this.#price(row);
    const group = Object.fromEntries(this.#by.map((name) => [name, valueOf(row, name)]));
    const key = JSON.stringify(Object.values(group));
    let sum = this.#sums.get(key);
    if (sum === undefined) this.#sums.set(key, (sum = emptySum(group)));
    add(sum, row, price);
    add(this.#total, row, price);
  }

  #price({ target, basis }: UsageRow): Price | null {
    const name = basis === undefined ? target : `${target} ${basis.table} ${basis.hasBatches}`;
    let price = this.#prices.get(name);
    if (price === undefined) this.#prices.set(name, (price = this.#priceOf(target, basis)));
    return price;
  }

  report(): UsageReport {
    const sorted = [...this.#sums.values()].sort((a, b) => compareDays(a, b) || Number(b.cost - a.cost) || b.counts.calls - a.counts.calls);
    return { rows: sorted.map((sum) => ({ ...sum.group, ...figuresOf(sum) })), total: figuresOf(this.#total) };
  }
}

function valueOf(row: UsageRow, name: UsageGroup): string {
  return name === 'provider' ? row.target.slice(0, Math.max(0, row.target.indexOf('/'))) || row.target : row[name];
}

function emptySum(group: Sum['group']): Sum {
  return { group, counts: emptyCounts(), unpriced: 0, cost: 0n, estimated: 0n, wastedCalls: 0, wastedCost: 0n };
}

function add(sum: Sum, row: UsageRow, price: Price | null): void {
  addCounts(sum.counts, row);
  const rates = price === null ? null : ratesFor(price, row.tier, row.size);
  const cost = rates === null ? 0n : exactCost(rates, row.tokens);
  if (price === null) sum.unpriced += row.calls;
  else if (!isFree(price)) sum.unpriced += row.unmeasured;
  sum.cost += cost;
  if (rates !== null) sum.estimated += exactCost(rates, { ...NO_TOKENS, input: row.estimatedInput, output: row.estimatedOutput });
  if (!row.wasted) return;
  sum.wastedCalls += row.calls;
  sum.wastedCost += cost;
}

function compareDays(a: Sum, b: Sum): number {
  const [first, second] = [a.group.day ?? '', b.group.day ?? ''];
  return first < second ? -1 : first > second ? 1 : 0;
}

function figuresOf({ counts: { calls, tokens, reasoning }, unpriced, cost, estimated, wastedCalls, wastedCost }: Sum): UsageFigures {
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
    estimatedCostUsd: toUsd(estimated),
    wastedCalls,
    wastedCostUsd: toUsd(wastedCost),
  };
}
