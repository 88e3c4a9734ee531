/** One row per target: the status of its credentials and its recent calls, combined, with its state in words. Pure. */
import type { Cause, FeedState, ModelEnd, OperatorStatus, TargetActivity, TargetStatus, Tone } from './frames.ts';
import { duration } from './format.ts';

/** A target is failing from this share of failed calls, given the minimum number of calls. */
const failingShare = 0.1;
const failingCalls = 5;
/** Fewer failures may be chance. */
const failingFailures = 3;
/** Only the last calls count: those of this many intervals of the strip (half a minute), and at least this number. */
const recentIntervals = 6;
const recentCalls = 10;
const minuteIntervals = 12;
/** So many calls without a failure end it sooner. */
const recoveredCalls = 20;

export interface LimitUse {
  readonly label: string;
  readonly used: number;
  readonly limit: number;
  /** `configured`, `reported by the provider`, `inferred` */
  readonly source: string;
}

export interface TargetRow {
  readonly name: string;
  readonly provider: string;
  readonly model: string;
  readonly keys: number;
  readonly tone: Tone;
  /** The state in one or two words. */
  readonly state: string;
  /** Additional detail: a countdown or a message. */
  readonly detail: string | null;
  readonly isIsolated: boolean;
  /** Milliseconds until the target can be used again; null if it can be used now, or is unknown. */
  readonly waitMs: number | null;
  readonly calls: number;
  readonly failed: number;
  /** Share of all targets' calls, from 0 to 1. */
  readonly share: number;
  readonly causes: readonly Cause[];
  readonly strip: readonly number[];
  readonly firstContentP50: number | null;
  readonly firstContentP95: number | null;
  readonly inFlight: number;
  readonly limits: readonly LimitUse[];
  /** Cost of its calls today, without unpriced ones; null if none has a price. */
  readonly costUsd: number | null;
  /** When its model is shut down, and its successor; null if that is not near. */
  readonly end: ModelEnd | null;
}

export function targetRows(state: FeedState): TargetRow[] {
  const activity = new Map(state.targets.map((one) => [one.target, one]));
  const total = state.targets.reduce((sum, { calls }) => sum + calls, 0);
  const byName = new Map<string, TargetStatus[]>();
  for (const status of state.status.targets) byName.set(status.target, [...(byName.get(status.target) ?? []), status]);
  return Array.from(byName, ([name, statuses]) => rowOf(state, name, statuses, activity.get(name), total));
}

export function isFailing({ calls, failed, strip }: Pick<TargetRow, 'calls' | 'failed' | 'strip'>): boolean {
  return calls >= failingCalls && failed >= failingFailures && failed / calls >= failingShare && !hasRecovered(strip);
}

/** True if its last calls succeeded, whatever failed before them in the window. */
function hasRecovered(strip: readonly number[]): boolean {
  let calls = 0;
  let failed = 0;
  for (let index = strip.length - 2, interval = 0; index >= 0; index -= 2, interval++) {
    if (interval >= recentIntervals && calls >= recentCalls) break;
    calls += strip[index]!;
    failed += strip[index + 1]!;
    if (failed === 0 && calls >= recoveredCalls) return true;
  }
  return calls >= recentCalls && failed / calls < failingShare;
}

/** Failed calls of the last minute; of the window where the strip is not known. */
export function recentFailures({ failed, strip }: Pick<TargetRow, 'failed' | 'strip'>): number {
  if (strip.length === 0) return failed;
  return strip.slice(-2 * minuteIntervals).reduce((sum, value, index) => (index % 2 === 1 ? sum + value : sum), 0);
}

/** In US dollars; null: unknown, or nothing was billed. */
export function shownCost(found: Pick<OperatorStatus['costToday'], 'usd' | 'unpricedCalls'> | undefined): number | null {
  return found === undefined || (found.usd === 0 && found.unpricedCalls > 0) ? null : found.usd;
}

function rowOf(
  state: FeedState,
  name: string,
  statuses: readonly TargetStatus[],
  activity: TargetActivity | undefined,
  total: number,
): TargetRow {
  const first = statuses[0]!;
  const calls = activity?.calls ?? 0;
  const failed = activity?.failed ?? 0;
  const limits = limitsOf(statuses);
  return {
    name,
    provider: first.provider,
    model: first.model,
    keys: statuses.length,
    ...stateOf(statuses, { calls, failed, strip: activity?.strip ?? [] }, limits),
    isIsolated: first.breaker.state === 'isolated',
    calls,
    failed,
    share: total === 0 ? 0 : calls / total,
    causes: activity?.causes ?? [],
    strip: activity?.strip ?? [],
    firstContentP50: activity?.firstContentP50 ?? null,
    firstContentP95: activity?.firstContentP95 ?? null,
    inFlight: statuses.reduce((sum, { inFlight }) => sum + inFlight, 0),
    limits,
    costUsd: shownCost(state.status.costToday.byTarget.find(({ target }) => target === name)),
    end: state.status.endings.find(({ target }) => target === name) ?? null,
  };
}

type Condition = Pick<TargetRow, 'tone' | 'state' | 'detail' | 'waitMs'>;

function stateOf(
  statuses: readonly TargetStatus[],
  recent: Pick<TargetRow, 'calls' | 'failed' | 'strip'>,
  limits: readonly LimitUse[],
): Condition {
  const { calls } = recent;
  const { breaker } = statuses[0]!;
  if (breaker.state === 'isolated') return { tone: 'warn', state: 'isolated', detail: 'until reset', waitMs: null };
  if (breaker.state === 'open') {
    const waitMs = breaker.openForMs;
    const probe = waitMs === 0 ? 'probed with the next request' : `probe in ${duration(waitMs ?? 0)}`;
    return { tone: waitMs === 0 && calls === 0 ? 'warn' : 'bad', state: 'breaker open', detail: waitMs === null ? null : probe, waitMs };
  }
  const out = statuses.filter(({ quarantinedMs }) => quarantinedMs > 0);
  if (out.length === statuses.length) return quarantined(out);
  if (breaker.state === 'half-open') return { tone: 'warn', state: 'probing', detail: 'breaker half-open', waitMs: null };
  const pausedMs = Math.min(...statuses.map(({ cooldownMs }) => cooldownMs));
  if (pausedMs > 0) return { tone: 'warn', state: 'cooldown', detail: `for ${duration(pausedMs)}`, waitMs: pausedMs };
  if (isFailing(recent)) return { tone: 'bad', state: 'failing', detail: out.length > 0 ? keysOut(out, statuses) : null, waitMs: null };
  if (out.length > 0) return { tone: 'warn', state: 'ok', detail: keysOut(out, statuses), waitMs: null };
  const full = limits.find(({ used, limit }) => limit - used < 1);
  if (full !== undefined) return { tone: 'warn', state: 'at its limit', detail: full.label, waitMs: null };
  return { tone: 'good', state: calls === 0 ? 'idle' : 'ok', detail: null, waitMs: null };
}

function quarantined(out: readonly TargetStatus[]): Condition {
  const waitMs = Math.min(...out.map(({ quarantinedMs }) => quarantinedMs));
  const why = out[0]!.quarantine?.reason === 'quota' ? 'quota spent' : 'key refused';
  return { tone: 'bad', state: why, detail: `for ${duration(waitMs)}`, waitMs };
}

function keysOut(out: readonly TargetStatus[], all: readonly TargetStatus[]): string {
  return `${out.length} of ${all.length} keys quarantined`;
}

const kindLabels: Readonly<Record<string, string>> = {
  requestsPerSecond: 'req/s',
  requestsPerMinute: 'req/min',
  requestsPerDay: 'req/day',
  tokensPerMinute: 'tok/min',
  tokensPerDay: 'tok/day',
  inputTokensPerMinute: 'in/min',
  outputTokensPerMinute: 'out/min',
  concurrency: 'concurrency',
};

/** The tightest limit of each kind, summed over the credentials; the fullest first. */
function limitsOf(statuses: readonly TargetStatus[]): LimitUse[] {
  const sums = new Map<string, LimitUse>();
  for (const one of statuses.flatMap((status) => [...tightest(status).values()])) {
    const before = sums.get(one.label);
    sums.set(one.label, before === undefined ? one : { ...one, used: one.used + before.used, limit: one.limit + before.limit });
  }
  return [...sums.values()].toSorted((a, b) => b.used / b.limit - a.used / a.limit);
}

/** A limit can be configured, reported and inferred at once; the one with the least remaining applies. */
function tightest({ limits, learned, inFlight }: TargetStatus): Map<string, LimitUse> {
  const found = new Map<string, LimitUse>();
  const add = (label: string, limit: number, available: number, source: string): void => {
    const before = found.get(label);
    if (before !== undefined && before.limit - before.used <= available) return;
    found.set(label, { label, source, used: Math.max(0, limit - available), limit });
  };
  for (const { kind, limit, available } of limits) add(kindLabels[kind] ?? kind, limit, available, 'configured');
  for (const { kind, windowMs, limit, available, source } of learned.limits)
    add(
      `${learnedLabel(kind)}/${windowLabel(windowMs)}`,
      limit,
      available,
      source === 'reported' ? 'reported by the provider' : 'inferred from refusals',
    );
  if (learned.concurrency !== null) add('concurrency', learned.concurrency, learned.concurrency - inFlight, 'inferred from overload');
  return found;
}

function learnedLabel(kind: string): string {
  return { requests: 'req', tokens: 'tok', inputTokens: 'in', outputTokens: 'out' }[kind] ?? kind;
}

function windowLabel(windowMs: number): string {
  return { 1_000: 's', 60_000: 'min', 3_600_000: 'h', 86_400_000: 'day' }[windowMs] ?? duration(windowMs);
}
