/** Rows of the usage ledger: counts of billed calls that have everything in common that a price depends on. */
import { isRecord } from '../../core/json.ts';
import { promptSize, RATE_NAMES, SERVICE_TIERS, tokenClasses } from '../../core/price.ts';
import type { ServiceTier, TokenClasses } from '../../core/price.ts';
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
}

export interface UsageCounts {
  calls: number;
  /** Of these, calls whose response reported no usage. */
  unmeasured: number;
  tokens: { -readonly [Name in keyof TokenClasses]: number };
  /** Part of `tokens.output`. */
  reasoning: number;
}

export interface UsageRow extends UsageKey, UsageCounts {}

export function emptyCounts(): UsageCounts {
  const tokens = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWrite1h: 0, audioInput: 0, imageInput: 0, output: 0, audioOutput: 0 };
  return { calls: 0, unmeasured: 0, tokens, reasoning: 0 };
}

/** The parts of a key that depend on the call. */
export function classOf({ usage, wasted }: PaidCall): Pick<UsageKey, 'tier' | 'size' | 'wasted'> {
  return { tier: usage?.serviceTier ?? null, size: usage === null ? 0 : promptSize(usage.inputTokens), wasted };
}

export function addCall(to: UsageCounts, { usage }: PaidCall): void {
  to.calls++;
  if (usage === null) {
    to.unmeasured++;
    return;
  }
  const classes = tokenClasses(usage);
  for (const name of RATE_NAMES) to.tokens[name] += classes[name];
  to.reasoning += usage.reasoningTokens ?? 0;
}

export function addCounts(to: UsageCounts, from: UsageCounts): void {
  to.calls += from.calls;
  to.unmeasured += from.unmeasured;
  for (const name of RATE_NAMES) to.tokens[name] += from.tokens[name];
  to.reasoning += from.reasoning;
}

export function keyText({ day, client, model, target, tier, size, wasted }: UsageKey): string {
  return JSON.stringify([day, client, model, target, tier ?? '', size, wasted ? 1 : 0]);
}

/** A stored value as a row; null: another version wrote it. */
export function readRow(value: unknown): UsageRow | null {
  if (!isRecord(value) || !isRecord(value['tokens'])) return null;
  const { day, client, model, target, tier, size, wasted, calls, unmeasured, reasoning, tokens } = value;
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
    calls: count(calls),
    unmeasured: count(unmeasured),
    tokens: counts.tokens,
    reasoning: count(reasoning),
  };
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
