/**
 * How long a provider asks us to wait, in whatever way it says so (design 4.2). A hint that makes no sense (negative, not a
 * number, two values at once, more than a month) counts as absent, and the next one is taken; 0 stays 0.
 */
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';
import { isRecord } from './json-values.ts';

/** Nobody means a longer wait, in milliseconds: a slip of the provider must not end its use for good. */
const MEANT_WAIT_MAX_MS = 31 * 86_400_000;

/** The wait, if anybody can mean it. */
function meant(waitMs: number | null): number | null {
  return waitMs !== null && waitMs >= 0 && waitMs <= MEANT_WAIT_MAX_MS ? waitMs : null;
}

/** Until an instant that is named, in milliseconds; null: none, or it has passed. */
export function waitUntil(atEpochMs: number | null, epochMs: number): number | null {
  return atEpochMs === null || atEpochMs <= epochMs ? null : meant(atEpochMs - epochMs);
}

/**
 * From headers, in milliseconds: `retry-after-ms` before `x-ms-retry-after-ms` before `retry-after`, before the end of the window that
 * refuses an Anthropic subscription; null: none.
 */
export function retryAfterFromHeaders(headers: HeaderLookup, epochMs: number): number | null {
  return (
    meant(parseNumber(headers.get('retry-after-ms'), 1)) ??
    meant(parseNumber(headers.get('x-ms-retry-after-ms'), 1)) ??
    meant(parseRetryAfter(headers.get('retry-after'), epochMs)) ??
    unifiedReset(headers, epochMs)
  );
}

const UNIFIED = 'anthropic-ratelimit-unified';
/** What decides, then each window. */
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

/** `Retry-After`: seconds, with or without a fraction, or an HTTP date (RFC 9110 10.2.3); a past date is 0. `2s` is understood too. */
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

/** Members of an error in which providers nest a wait. What a provider may echo of the request (`input`) is not among them. */
const PLACES = ['error', 'errors', 'details', 'detail', 'metadata', 'raw', 'innererror', 'cause'] as const;
const NESTING_MAX = 6;
const LOOKED_AT_MAX = 200;

/** From an error object: google RetryInfo wherever its details stand (`"13s"`), or a plain `retry_after(_ms)`; null: none. */
export function retryAfterFromError(error: Record<string, unknown>): number | null {
  return search(error, NESTING_MAX, { left: LOOKED_AT_MAX });
}

function search(value: unknown, depth: number, looks: { left: number }): number | null {
  if (depth === 0 || --looks.left < 0) return null;
  if (Array.isArray(value)) return searchEach(value, depth, looks);
  if (!isRecord(value)) return null;
  return (
    meant(protobufDuration(value['retryDelay'])) ??
    meant(nonNegative(value['retry_after_ms'], 1)) ??
    meant(nonNegative(value['retry_after'], 1_000)) ??
    meant(nonNegative(value['resets_in_seconds'], 1_000)) ??
    meant(nonNegative(value['estimated_time'], 1_000)) ?? // Hugging Face, while it loads a model
    searchEach(
      PLACES.map((name) => value[name]),
      depth,
      looks,
    )
  );
}

function searchEach(values: readonly unknown[], depth: number, looks: { left: number }): number | null {
  for (const value of values.slice(0, LOOKED_AT_MAX)) {
    if (typeof value !== 'object' || value === null) continue;
    const found = search(value, depth - 1, looks);
    if (found !== null) return found;
  }
  return null;
}

/** `"1.5s"` in JSON; `{ seconds, nanos }` where a server prints the message as it is. */
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

/** From words such as "Please try again in 1.2s", "retry after 7 seconds", "wait for 6m0s"; null: none found. */
export function retryAfterFromText(text: string): number | null {
  const words = HINT.exec(text)?.[1];
  if (words === undefined) return null;
  let total = 0;
  for (const [, number, unit] of words.matchAll(/(\d+(?:\.\d+)?)\s?([a-z]+)/gi)) total += Number(number) * unitMilliseconds(unit ?? '');
  return meant(total);
}

function unitMilliseconds(unit: string): number {
  const lower = unit.toLowerCase();
  if (lower.startsWith('ms') || lower.startsWith('milli')) return 1;
  if (lower.startsWith('s')) return 1_000;
  if (lower.startsWith('m')) return 60_000;
  return 3_600_000;
}
