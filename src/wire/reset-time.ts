/** Finds the time at which an exhausted quota resets, in any field or wording that providers use. */

import { isRecord } from '../core/json.ts';

/** Names of members that hold it, in lower case, without `-` and `_`. */
const NAMES: ReadonlySet<string> = new Set(['xratelimitreset', 'ratelimitreset', 'resetsat', 'resetat', 'resettime', 'quotaresettime']);
/** Members in which it may be nested. OpenRouter copies the headers of a rate limit to `error.metadata.headers`. */
const PLACES = ['error', 'metadata', 'headers', 'details', 'base_resp'] as const;
const NESTING_MAX = 4;
const MEMBERS_MAX = 50;

/** Smaller numbers are seconds since the epoch (2001 to 5138), larger ones milliseconds. */
const MILLISECONDS_FROM = 1e11;
const SECONDS_FROM = 1e9;
const MILLISECONDS_MAX = 1e14;

const TEXT =
  /\b(?:regain access|resets?|renews?|available again|try again|retry)\b (?:on|at|after) (\d{4}-\d{2}-\d{2})(?:(?: at |[ T])(\d{2}:\d{2}(?::\d{2})?))?/i;

/** Milliseconds since the epoch; null: none found. A wait in seconds is read by `retry-hints.ts`. */
export function resetFromError(error: Record<string, unknown>): number | null {
  return search(error, NESTING_MAX);
}

function search(value: unknown, depth: number): number | null {
  if (depth === 0 || !isRecord(value)) return null;
  for (const [name, member] of Object.entries(value).slice(0, MEMBERS_MAX)) {
    const at = NAMES.has(name.toLowerCase().replaceAll(/[-_]/g, '')) ? toEpochMs(member) : null;
    if (at !== null) return at;
  }
  for (const place of PLACES) {
    const at = search(value[place], depth - 1);
    if (at !== null) return at;
  }
  return null;
}

/** Reads text such as "You will regain access on 2026-12-01 at 00:00 UTC". Without a time it means the beginning of that day, in UTC. */
export function resetFromText(text: string): number | null {
  const found = TEXT.exec(text);
  if (found === null) return null;
  const at = Date.parse(`${found[1]}T${found[2] ?? '00:00'}Z`);
  return Number.isNaN(at) ? null : at;
}

function toEpochMs(value: unknown): number | null {
  if (typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T/.test(value)) {
    const at = Date.parse(value);
    return Number.isNaN(at) ? null : at;
  }
  const number = typeof value === 'string' && /^\d{10,16}(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number < SECONDS_FROM || number > MILLISECONDS_MAX) return null;
  return number < MILLISECONDS_FROM ? number * 1_000 : number;
}
