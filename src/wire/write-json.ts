import { JSON_DEPTH_MAX } from './json-scan.ts';

/**
 * Writes a value as JSON. `JSON.parse` accepts any depth but `JSON.stringify` recurses: if a value is too deep to be written, everything
 * below `JSON_DEPTH_MAX` levels becomes null.
 */
export function writeJson(value: object): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return JSON.stringify(pruned(value, JSON_DEPTH_MAX));
  }
}

function pruned(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return null;
  if (Array.isArray(value)) return value.map((item) => pruned(item, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, pruned(inner, depth - 1)]));
}
