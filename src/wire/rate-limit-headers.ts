/**
 * Reads the limits in a provider's headers into one neutral list. The families: OpenAI, Azure and Groq (`-requests`, `-tokens`; resets as
 * Go durations), OpenAI's headers for a project, Cerebras and Mistral (the name includes the window; resets in seconds), Fireworks (prompt
 * and generated tokens separately), Together (bare names, windows of one second), Mistral's older `bysize` names, and Anthropic (resets as
 * RFC 3339 dates).
 */
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';

export type LimitKind = 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';
export type LimitWindow = 'second' | 'minute' | 'day';

export interface RateLimitHint {
  /** Identifies the family: equal for the same header names. */
  readonly family: number;
  readonly kind: LimitKind;
  /** The window of the limit, if the header's name states it; otherwise the provider's preset does. */
  readonly window: LimitWindow | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  /** Milliseconds until the limit is fully restored (not: until the next request may start). */
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

/** The limits reported in these headers; none means unknown, not unlimited. `epochMs`: now, for resets given as dates. */
export function readRateLimitHeaders(headers: HeaderLookup, epochMs: number): RateLimitHint[] {
  const hints: RateLimitHint[] = [];
  for (let family = 0; family < RATE_LIMIT_FAMILIES.length; family++) {
    const hint = readRateLimitFamily(headers, family, epochMs);
    if (hint !== null) hints.push(hint);
  }
  return hints;
}

/** The limit reported in the headers of one family; null: none. */
export function readRateLimitFamily(headers: HeaderLookup, family: number, epochMs: number): RateLimitHint | null {
  const names = RATE_LIMIT_FAMILIES[family]!;
  const limit = parseCount(headers.get(names.limit));
  const remaining = parseCount(headers.get(names.remaining));
  if (limit === null && remaining === null) return null;
  return { family, kind: names.kind, window: names.window, limit, remaining, resetMs: parseReset(headers.get(names.reset), epochMs) };
}

/** A remaining count below zero (an overdrawn bucket) is zero; anything but a number is unknown. */
export function parseCount(value: string | null): number | null {
  if (value === null || !/^\s*-?\d+(?:\.\d+)?\s*$/.test(value)) return null;
  const count = Math.max(0, Number(value));
  return Number.isFinite(count) ? count : null;
}

/** Bare numbers from here on are dates: seconds, or milliseconds, since 1970. */
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
