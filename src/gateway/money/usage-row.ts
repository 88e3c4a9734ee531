/** Rows of the usage ledger: counts of billed calls that have everything in common that a price depends on. */
import { isRecord } from '../../core/json.ts';
import { promptSize, RATE_NAMES, SERVICE_TIERS, tokenClasses } from '../../core/price.ts';
import type { PriceBasis, ServiceTier, TokenClasses } from '../../core/price.ts';
import type { PaidCall } from '../../core/events.ts';

export interface UsageKey {
  /** `YYYY-MM-DD`, in UTC. */
  readonly day: string;
  readonly client: string;
  /** As requested. */
  readonly model: string;
  readonly target: string;
  /** Null: standard. */
  readonly tier: ServiceTier | null;
  /** As `promptSize` returns it. */
  readonly size: number;
  readonly wasted: boolean;
  /** Undefined: another version wrote the row. */
  readonly basis: PriceBasis | undefined;
}

export interface UsageCounts {
  calls: number;
  /** Of these, calls whose response reported no usage, or not all of it. */
  unmeasured: number;
  /** Tokens that these did not report, by estimate. */
  estimatedInput: number;
  estimatedOutput: number;
  tokens: { -readonly [Name in keyof TokenClasses]: number };
  /** Part of `tokens.output`. */
  reasoning: number;
}

export interface UsageRow extends UsageKey, UsageCounts {}

export function emptyCounts(): UsageCounts {
  const tokens = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, audioInput: 0, imageInput: 0, output: 0, audioOutput: 0 };
  return { calls: 0, unmeasured: 0, estimatedInput: 0, estimatedOutput: 0, tokens, reasoning: 0 };
}

/** The parts of a key that depend on the call. */
export function classOf({ usage, estimated, wasted, priceBasis }: PaidCall): Pick<UsageKey, 'tier' | 'size' | 'wasted' | 'basis'> {
  const { inputTokens = 0 } = usage ?? estimated ?? {};
  return { tier: usage?.serviceTier ?? null, size: promptSize(inputTokens), wasted, basis: priceBasis };
}

export function addCall(to: UsageCounts, { usage, estimated }: PaidCall): void {
  to.calls++;
  if (usage === null || estimated !== undefined) to.unmeasured++;
  to.estimatedInput += estimated?.inputTokens ?? 0;
  to.estimatedOutput += estimated?.outputTokens ?? 0;
  if (usage === null) return;
  const classes = tokenClasses(usage);
  for (const name of RATE_NAMES) to.tokens[name] += classes[name];
  to.reasoning += usage.reasoningTokens ?? 0;
}

export function addCounts(to: UsageCounts, from: UsageCounts): void {
  to.calls += from.calls;
  to.unmeasured += from.unmeasured;
  to.estimatedInput += from.estimatedInput;
  to.estimatedOutput += from.estimatedOutput;
  for (const name of RATE_NAMES) to.tokens[name] += from.tokens[name];
  to.reasoning += from.reasoning;
}

export function keyText({ day, client, model, target, tier, size, wasted, basis }: UsageKey): string {
  const parts = [day, client, model, target, tier ?? '', size, wasted ? 1 : 0];
  return JSON.stringify(basis === undefined ? parts : [...parts, basis.table ?? '', basis.hasBatches ? 1 : 0]);
}

/** A stored value as a row; null: another version wrote it. */
export function readRow(value: unknown): UsageRow | null {
  if (!isRecord(value) || !isRecord(value['tokens'])) return null;
  const { day, client, model, target, tier, size, wasted, basis, calls, unmeasured, estimatedInput, estimatedOutput, reasoning, tokens } =
    value;
  if (typeof day !== 'string' || typeof client !== 'string' || typeof model !== 'string' || typeof target !== 'string') return null;
  const counts = emptyCounts();
  for (const name of RATE_NAMES) counts.tokens[name] = count(tokens[name]);
  return {
    day,
    client,
    model,
    target,
    tier: SERVICE_TIERS.find((known) => known === tier) ?? null,
    size: count(size),
    wasted: wasted === true,
    basis: readBasis(basis),
    calls: count(calls),
    unmeasured: count(unmeasured),
    estimatedInput: count(estimatedInput),
    estimatedOutput: count(estimatedOutput),
    tokens: counts.tokens,
    reasoning: count(reasoning),
  };
}

/** The sum of stored rows with the same key; null: another version wrote one of them. */
export function mergedRow(values: readonly unknown[]): UsageRow | null {
  let sum: UsageRow | null = null;
  for (const value of values) {
    const row = readRow(value);
    // What this version does not know must not get lost.
    if (row === null || Object.keys(value as object).some((name) => !Object.hasOwn(row, name))) return null;
    if (sum === null) sum = row;
    else addCounts(sum, row);
  }
  return sum;
}

function readBasis(value: unknown): PriceBasis | undefined {
  if (!isRecord(value)) return undefined;
  const { table, hasBatches } = value;
  return typeof table === 'string' || table === null ? { table, hasBatches: hasBatches === true } : undefined;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
