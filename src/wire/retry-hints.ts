/**
 * The wait that a provider requests, in any form. An invalid hint (negative, not a number, two values at once, more than a month) is
 * ignored, and the next one is used; 0 stays 0.
 */
import { isRecord } from '../core/json.ts';
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';

/** In milliseconds. A longer wait is taken for a provider's mistake, which must not disable it permanently. */
const PLAUSIBLE_WAIT_MAX_MS = 31 * 86_400_000;

/** The wait if it is plausible, else null. */
function plausible(waitMs: number | null): number | null {
  return waitMs !== null && waitMs >= 0 && waitMs <= PLAUSIBLE_WAIT_MAX_MS ? waitMs : null;
}

/** The wait until an instant, in milliseconds; null: none is given, or it has passed. */
export function waitUntil(atEpochMs: number | null, epochMs: number): number | null {
  return atEpochMs === null || atEpochMs <= epochMs ? null : plausible(atEpochMs - epochMs);
}

/**
 * The wait in the headers, in milliseconds: `retry-after-ms`, then `x-ms-retry-after-ms`, then `retry-after`, then the end of the window
 * in which an Anthropic subscription is exhausted; null: none.
 */
export function retryAfterFromHeaders(headers: HeaderLookup, epochMs: number): number | null {
  return (
    plausible(parseNumber(headers.get('retry-after-ms'), 1)) ??
    plausible(parseNumber(headers.get('x-ms-retry-after-ms'), 1)) ??
    plausible(parseRetryAfter(headers.get('retry-after'), epochMs)) ??
    unifiedReset(headers, epochMs)
  );
}

const UNIFIED = 'anthropic-ratelimit-unified';
/** The overall limit, then each window. */
const UNIFIED_WINDOWS = [UNIFIED, `${UNIFIED}-5h`, `${UNIFIED}-7d`] as const;

/** The limits of a subscription: `…-status: rejected`, and `…-reset` in seconds since the epoch. */
function unifiedReset(headers: HeaderLookup, epochMs: number): number | null {
  for (const window of UNIFIED_WINDOWS) {
    if (headers.get(`${window}-status`) !== 'rejected') continue;
    const wait = waitUntil(parseNumber(headers.get(`${window}-reset`), 1_000), epochMs);
    if (wait !== null) return wait;
  }
  return null;
}

/** `Retry-After`: seconds, with or without a fraction, or an HTTP date (RFC 9110 10.2.3); a past date is 0. `2s` is accepted too. */
function parseRetryAfter(value: string | null, epochMs: number): number | null {
  if (value === null) return null;
  const delay = parseNumber(value, 1_000);
  if (delay !== null) return delay;
  const date = parseHttpDate(value.trim());
  return date === null ? parseGoDuration(value) : Math.max(0, date - epochMs);
}

function parseNumber(value: string | null, unitMs: number): number | null {
  if (value === null || !/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return null;
  const number = Number(value) * unitMs;
  return Number.isFinite(number) ? number : null;
}

/** All three forms of RFC 9110 5.6.7, and ISO 8601. A zone of `-0000`, or none (the asctime form), is UTC. */
function parseHttpDate(value: string): number | null {
  const isText = /^[A-Za-z]{3,9},? .*\d{1,2}:\d{2}:\d{2}/.test(value);
  const isIso = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(value);
  if (!isText && !isIso) return null;
  const hasZone = /(?:[A-Z]{1,4}|[+-]\d{2}:?\d{2})$/.test(value);
  const date = Date.parse(hasZone ? value : isText ? `${value} GMT` : `${value}Z`);
  return Number.isNaN(date) ? null : date;
}

/** Members of an error in which providers nest a wait; not those that may echo the request (`input`). */
const PLACES = ['error', 'errors', 'details', 'detail', 'metadata', 'raw', 'innererror', 'cause'] as const;
const NESTING_MAX = 6;
const VALUES_MAX = 200;

/** The wait in an error object: Google's RetryInfo at any depth (`"13s"`), or a field such as `retry_after(_ms)`; null: none. */
export function retryAfterFromError(error: Record<string, unknown>): number | null {
  return search(error, NESTING_MAX, { left: VALUES_MAX });
}

function search(value: unknown, depth: number, budget: { left: number }): number | null {
  if (depth === 0 || --budget.left < 0) return null;
  if (Array.isArray(value)) return searchEach(value, depth, budget);
  if (!isRecord(value)) return null;
  return (
    plausible(protobufDuration(value['retryDelay'])) ??
    plausible(nonNegative(value['retry_after_ms'], 1)) ??
    plausible(nonNegative(value['retry_after'], 1_000)) ??
    plausible(nonNegative(value['resets_in_seconds'], 1_000)) ??
    plausible(nonNegative(value['estimated_time'], 1_000)) ?? // Hugging Face, while a model is loading
    searchEach(
      PLACES.map((name) => value[name]),
      depth,
      budget,
    )
  );
}

function searchEach(values: readonly unknown[], depth: number, budget: { left: number }): number | null {
  for (const value of values.slice(0, VALUES_MAX)) {
    if (typeof value !== 'object' || value === null) continue;
    const found = search(value, depth - 1, budget);
    if (found !== null) return found;
  }
  return null;
}

/** `"1.5s"` in JSON; `{ seconds, nanos }` from servers that write the message's fields. */
function protobufDuration(value: unknown): number | null {
  if (typeof value === 'string') return parseGoDuration(value);
  if (!isRecord(value)) return null;
  const seconds = nonNegative(value['seconds'] ?? 0, 1_000);
  const nanos = nonNegative(value['nanos'] ?? 0, 0.000001);
  return seconds === null || nanos === null ? null : seconds + nanos;
}

function nonNegative(value: unknown, unitMs: number): number | null {
  const number = typeof value === 'string' ? Number(value.trim() === '' ? Number.NaN : value) : value;
  return typeof number === 'number' && number >= 0 && Number.isFinite(number) ? number * unitMs : null;
}

const NUMBER_AND_UNIT = String.raw`\d{1,9}(?:\.\d{1,9})?\s?(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)(?![a-z])`;
// Go prints durations without spaces between the parts (`6m0s`), so a unit may also be followed by a digit.
const HINT = new RegExp(
  String.raw`\b(?:(?:try(?: your request)? again|retry(?:ing)?)[ ,]{1,2}(?:in|after)|(?:please )?wait(?: for)?(?: at least)?)[ :]{1,2}(?:about |approximately |another )?(${NUMBER_AND_UNIT}(?:[ ,]{0,2}(?:and )?${NUMBER_AND_UNIT}){0,3})`,
  'i',
);

/** The wait in text such as "Please try again in 1.2s", "retry after 7 seconds", "wait for 6m0s"; null: none found. */
export function retryAfterFromText(text: string): number | null {
  const hint = HINT.exec(text)?.[1];
  if (hint === undefined) return null;
  let total = 0;
  for (const [, number, unit] of hint.matchAll(/(\d+(?:\.\d+)?)\s?([a-z]+)/gi)) total += Number(number) * unitMilliseconds(unit ?? '');
  return plausible(total);
}

function unitMilliseconds(unit: string): number {
  const lower = unit.toLowerCase();
  if (lower.startsWith('ms') || lower.startsWith('milli')) return 1;
  if (lower.startsWith('s')) return 1_000;
  if (lower.startsWith('m')) return 60_000;
  return 3_600_000;
}
