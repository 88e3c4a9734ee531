/**
 * What a provider's headers say of its limits, in one neutral list. The families: OpenAI, Azure and Groq (`-requests`,
 * `-tokens`; resets as Go durations), OpenAI's rows for a project, Cerebras and Mistral (the window stands in the name; resets in
 * seconds), Fireworks (prompt and generated tokens apart), Together (bare names, windows of a second), Mistral's older `bysize`
 * names, and Anthropic (resets as dates of RFC 3339).
 */
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';

export type LimitKind = 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';
export type LimitWindow = 'second' | 'minute' | 'day';

export interface RateLimitHint {
  /** Tells the families apart: the same for the same header names. */
  readonly family: number;
  readonly kind: LimitKind;
  /** What the limit is counted over, where the header's name says so; else the provider's preset knows. */
  readonly window: LimitWindow | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  /** Milliseconds until the window is whole again (not: until the next request may go). */
  readonly resetMs: number | null;
}

export interface RateLimitFamily {
  readonly kind: LimitKind;
  readonly window: LimitWindow | null;
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

function named(suffix: string, kind: LimitKind, window: LimitWindow | null = null): RateLimitFamily {
  return {
    kind,
    window,
    limit: `x-ratelimit-limit${suffix}`,
    remaining: `x-ratelimit-remaining${suffix}`,
    reset: `x-ratelimit-reset${suffix}`,
  };
}

function anthropic(name: string, kind: LimitKind): RateLimitFamily {
  const of = (what: string): string => `anthropic-ratelimit-${name}-${what}`;
  return { kind, window: null, limit: of('limit'), remaining: of('remaining'), reset: of('reset') };
}

export const RATE_LIMIT_FAMILIES: readonly RateLimitFamily[] = [
  named('-requests', 'requests'),
  named('-tokens', 'tokens'),
  named('-project-requests', 'requests'),
  named('-project-tokens', 'tokens'),
  named('-tokens_usage_based', 'tokens'),
  named('-requests-minute', 'requests', 'minute'),
  named('-requests-day', 'requests', 'day'),
  named('-req-minute', 'requests', 'minute'),
  named('-tokens-minute', 'tokens', 'minute'),
  named('-tokens-day', 'tokens', 'day'),
  named('-tokens-prompt', 'inputTokens'),
  named('-tokens-generated', 'outputTokens'),
  named('', 'requests', 'second'),
  { kind: 'tokens', window: 'second', limit: 'x-tokenlimit-limit', remaining: 'x-tokenlimit-remaining', reset: 'x-tokenlimit-reset' },
  {
    kind: 'tokens',
    window: 'minute',
    limit: 'x-ratelimitbysize-limit-minute',
    remaining: 'x-ratelimitbysize-remaining-minute',
    reset: 'ratelimitbysize-reset',
  },
  anthropic('requests', 'requests'),
  anthropic('tokens', 'tokens'),
  anthropic('input-tokens', 'inputTokens'),
  anthropic('output-tokens', 'outputTokens'),
];

/** The limits that these headers tell of; none means unknown, not unlimited. `epochMs`: now, for resets given as dates. */
export function readRateLimitHeaders(headers: HeaderLookup, epochMs: number): RateLimitHint[] {
  const hints: RateLimitHint[] = [];
  for (let family = 0; family < RATE_LIMIT_FAMILIES.length; family++) {
    const hint = readRateLimitFamily(headers, family, epochMs);
    if (hint !== null) hints.push(hint);
  }
  return hints;
}

/** What the headers of one family say; null: nothing. */
export function readRateLimitFamily(headers: HeaderLookup, family: number, epochMs: number): RateLimitHint | null {
  const names = RATE_LIMIT_FAMILIES[family]!;
  const limit = parseCount(headers.get(names.limit));
  const remaining = parseCount(headers.get(names.remaining));
  if (limit === null && remaining === null) return null;
  return { family, kind: names.kind, window: names.window, limit, remaining, resetMs: parseReset(headers.get(names.reset), epochMs) };
}

/** A remaining count below zero (an overdrawn bucket) is zero; what is no number is unknown. */
export function parseCount(value: string | null): number | null {
  if (value === null || !/^\s*-?\d+(?:\.\d+)?\s*$/.test(value)) return null;
  const count = Math.max(0, Number(value));
  return Number.isFinite(count) ? count : null;
}

/** From here on a bare number is a date: seconds, or milliseconds, since 1970. */
const EPOCH_SECONDS_MIN = 1e9;
const EPOCH_MILLISECONDS_MIN = 1e12;

function parseReset(value: string | null, epochMs: number): number | null {
  if (value === null) return null;
  if (/^\s*\d{4}-\d{2}-\d{2}T/.test(value)) {
    const date = Date.parse(value);
    return Number.isNaN(date) ? null : Math.max(0, date - epochMs);
  }
  if (!/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return roundOrNull(parseGoDuration(value));
  const number = Number(value);
  if (number >= EPOCH_MILLISECONDS_MIN) return Math.max(0, number - epochMs);
  return number >= EPOCH_SECONDS_MIN ? Math.max(0, Math.round(number * 1_000 - epochMs)) : Math.round(number * 1_000);
}

function roundOrNull(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}
