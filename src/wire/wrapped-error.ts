import { isRecord } from '../core/json.ts';
import { parseBounded } from './json-outline.ts';
import { findError } from './response-error.ts';

/** The error in a value that may be an object, a list (Google's) or a string of JSON; null: none. Unwraps two levels at most. */
export function findWrappedError(value: unknown): unknown {
  for (let depth = 0, inner = value; depth < 3; depth++) {
    if (isRecord(inner)) return findError(inner);
    inner = Array.isArray(inner) ? inner[0] : parseString(inner);
  }
  return null;
}

function parseString(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{"]/.test(value)) return null;
  return parseBounded(value);
}
