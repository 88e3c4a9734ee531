/**
 * JSON whose numbers keep their digits: `12345678901234567890` and `1.10` are written as they were read. A conversion copies values that
 * it does not interpret (schemas, tool arguments); JSON.parse alone would round them.
 */

import { isRecord } from '../core/json.ts';

/** `JSON.rawJSON` and the `context` of a reviver are newer than the library types (ES2025 proposal, in V8 since 11.4). */
interface ExactJson {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}

const exact = JSON as unknown as ExactJson;

/** A number that JavaScript may print differently: many digits, an exponent, a fraction that ends in 0, a negative zero. */
const UNSAFE_NUMBER = /\d{16}|\d[eE]|\.\d*0(?!\d)|-0/;

/** Throws a SyntaxError if the text is not JSON. A number whose digits would change becomes a raw value that only JSON.stringify reads. */
export function parseExact(text: string): unknown {
  if (!UNSAFE_NUMBER.test(text)) return JSON.parse(text) as unknown;
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? exact.rawJSON(source) : value,
  );
}

/** The same for untrusted text; null: not a JSON object. */
export function parseRecord(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = parseExact(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** The number in a value from `parseExact`; null: not a number. */
export function numberIn(value: unknown): number | null {
  if (typeof value === 'number') return value;
  return exact.isRawJSON(value) ? Number((value as { rawJSON: string }).rawJSON) : null;
}
