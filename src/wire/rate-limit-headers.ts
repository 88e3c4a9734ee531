/**
 * What a provider's headers say of its limits, in one neutral list. The families: OpenAI, Azure and Groq (`-requests`,
 * `-tokens`; resets as Go durations), Cerebras and Mistral (the window stands in the name; resets in seconds), Fireworks
 * (prompt and generated tokens apart), Together (bare names, windows of a second), and Mistral's older `bysize` names.
 */
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';

export type LimitKind = 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';
export type LimitWindow = 'second' | 'minute' | 'day';

export interface RateLimitHint {
  readonly kind: LimitKind;
  /** What the limit is counted over, where the header's name says so; else the provider's preset knows. */
  readonly window: LimitWindow | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  /** Milliseconds until the window is whole again (not: until the next request may go). */
  readonly resetMs: number | null;
}

interface Family {
  readonly kind: LimitKind;
  readonly window: LimitWindow | null;
  readonly limit: string;
  readonly remaining: string;
  readonly reset: string;
}

function named(suffix: string, kind: LimitKind, window: LimitWindow | null = null): Family {
  return {
    kind,
    window,
    limit: `x-ratelimit-limit${suffix}`,
    remaining: `x-ratelimit-remaining${suffix}`,
    reset: `x-ratelimit-reset${suffix}`,
  };
}

const FAMILIES: readonly Family[] = [
  named('-requests', 'requests'),
  named('-tokens', 'tokens'),
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
];

/** The limits that these headers tell of; none means unknown, not unlimited. `epochMs`: now, for resets given as dates. */
export function readRateLimitHeaders(headers: HeaderLookup, epochMs: number): RateLimitHint[] {
  const hints: RateLimitHint[] = [];
  for (const family of FAMILIES) {
    const limit = parseCount(headers.get(family.limit));
    const remaining = parseCount(headers.get(family.remaining));
    if (limit === null && remaining === null) continue;
    const resetMs = parseReset(headers.get(family.reset), epochMs);
    hints.push({ kind: family.kind, window: family.window, limit, remaining, resetMs });
  }
  return hints;
}

/** A remaining count below zero (an overdrawn bucket) is zero; what is no number is unknown. */
function parseCount(value: string | null): number | null {
  if (value === null || !/^\s*-?\d+(?:\.\d+)?\s*$/.test(value)) return null;
  const count = Math.max(0, Number(value));
  return Number.isFinite(count) ? count : null;
}

/** From here on a bare number is a date: seconds, or milliseconds, since 1970. */
const EPOCH_SECONDS_MIN = 1e9;
const EPOCH_MILLISECONDS_MIN = 1e12;

function parseReset(value: string | null, epochMs: number): number | null {
  if (value === null) return null;
  if (!/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return roundOrNull(parseGoDuration(value));
  const number = Number(value);
  if (number >= EPOCH_MILLISECONDS_MIN) return Math.max(0, number - epochMs);
  return number >= EPOCH_SECONDS_MIN ? Math.max(0, Math.round(number * 1_000 - epochMs)) : Math.round(number * 1_000);
}

function roundOrNull(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}
