/**
 * How long a provider asks us to wait, in whatever way it says so (design 4.2). A hint that makes no sense (negative, not a
 * number) counts as absent, and the next one is taken; 0 stays 0, and huge values are kept: policy decides on them.
 */
import { parseGoDuration } from './go-duration.ts';
import type { HeaderLookup } from './header-lookup.ts';
import { isRecord } from './json-values.ts';

/** From headers, in milliseconds: `retry-after-ms` before `x-ms-retry-after-ms` before `retry-after`; null: none. */
export function retryAfterFromHeaders(headers: HeaderLookup, epochMs: number): number | null {
  return (
    parseNumber(headers.get('retry-after-ms'), 1) ??
    parseNumber(headers.get('x-ms-retry-after-ms'), 1) ??
    parseRetryAfter(headers.get('retry-after'), epochMs)
  );
}

/** `Retry-After`: seconds, with or without a fraction, or an HTTP date (RFC 9110 10.2.3); a past date is 0. */
function parseRetryAfter(value: string | null, epochMs: number): number | null {
  if (value === null) return null;
  const delay = parseNumber(value, 1_000);
  if (delay !== null) return delay;
  const date = parseHttpDate(value.trim());
  return date === null ? null : Math.max(0, date - epochMs);
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

/** From an error object: google RetryInfo in its details (`"13s"`), or a plain `retry_after(_ms)`; null: none. */
export function retryAfterFromError(error: Record<string, unknown>): number | null {
  const details: unknown[] = Array.isArray(error['details']) ? error['details'] : [];
  for (const detail of details) {
    const delay = isRecord(detail) ? protobufDuration(detail['retryDelay']) : null;
    if (delay !== null) return delay;
  }
  return protobufDuration(error['retryDelay']) ?? nonNegative(error['retry_after_ms'], 1) ?? nonNegative(error['retry_after'], 1_000);
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
  String.raw`\b(?:try again|retry(?:ing)?)\s+(?:in|after)\s+(${NUMBER_AND_UNIT}(?:\s?(?:and\s)?${NUMBER_AND_UNIT}){0,3})`,
  'i',
);

/** From words such as "Please try again in 1.2s", "retry after 7 seconds", "try again in 6m0s"; null: none found. */
export function retryAfterFromText(text: string): number | null {
  const words = HINT.exec(text)?.[1];
  if (words === undefined) return null;
  let total = 0;
  for (const [, number, unit] of words.matchAll(/(\d+(?:\.\d+)?)\s?([a-z]+)/gi)) total += Number(number) * unitMilliseconds(unit ?? '');
  return Number.isFinite(total) ? total : null;
}

function unitMilliseconds(unit: string): number {
  const lower = unit.toLowerCase();
  if (lower.startsWith('ms') || lower.startsWith('milli')) return 1;
  if (lower.startsWith('s')) return 1_000;
  if (lower.startsWith('m')) return 60_000;
  return 3_600_000;
}
