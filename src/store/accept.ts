/** Validates every write, for all drivers, and turns it into a change. */
import type { Replacement } from './backend.ts';
import type { Change } from './change.ts';
import type { StoreLimits, WriteOptions } from './store.ts';

/** A key that every driver can store: lone surrogates, which UTF-8 can't encode, are replaced. Undefined if it is too long. */
export function toKey(key: string, limits: StoreLimits): string | undefined {
  return key.length <= limits.keyCharactersMax ? key.toWellFormed() : undefined;
}

export function toPut(value: unknown, options: WriteOptions, limits: StoreLimits): Change | undefined {
  const expiresAtMs = toExpiry(options);
  const text = toJson(value);
  if (expiresAtMs === undefined || text === undefined || text.length > limits.valueCharactersMax) return undefined;
  return { kind: 'put', text, expiresAtMs };
}

/** Undefined if the value, its key or its expiry is invalid. */
export function toReplacement(
  collection: string,
  key: string,
  value: unknown,
  options: WriteOptions,
  others: ReadonlyMap<string, unknown>,
  limits: StoreLimits,
): Replacement | undefined {
  const name = toKey(key, limits);
  const change = toPut(value, options, limits);
  if (name === undefined || change?.kind !== 'put') return undefined;
  const { text, expiresAtMs } = change;
  const replaced = [...others].map(([other, stored]) => ({ key: other, text: toJson(stored) ?? '' }));
  return { collection, key: name, row: { text, expiresAtMs }, replaced };
}

/** Whole milliseconds; null for never; undefined if the instant is invalid. */
function toExpiry({ expiresAtMs }: WriteOptions): number | null | undefined {
  if (expiresAtMs === undefined || expiresAtMs === Infinity) return null;
  return Number.isSafeInteger(Math.ceil(expiresAtMs)) ? Math.ceil(expiresAtMs) : undefined;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value); // undefined for a function or undefined itself
  } catch {
    return undefined; // a cycle, a BigInt, a throwing toJSON
  }
}
