/** Converts Gemini's schema language (OpenAPI 3.0, upper-case types) to JSON Schema. */
import { isRecord } from '../../core/json.ts';
import type { Fields } from '../loose-values.ts';

const NESTING_MAX = 60;
/** Members that hold one schema, a list of schemas, or schemas by name. */
const ONE = new Set(['items', 'additionalProperties']);
const LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems']);
const MAPS = new Set(['properties', '$defs', 'defs']);

/** JSON Schema passes unchanged. */
export function toJsonSchema(schema: unknown, depth = NESTING_MAX): unknown {
  if (!isRecord(schema) || depth === 0) return schema;
  const result: Fields = {};
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'type') result['type'] = typeof value === 'string' ? value.toLowerCase() : value;
    else if (name === 'nullable' || name === 'propertyOrdering') continue;
    else if (ONE.has(name)) result[name] = toJsonSchema(value, depth - 1);
    else if (LISTS.has(name) && Array.isArray(value)) result[name] = value.map((item) => toJsonSchema(item, depth - 1));
    else if (MAPS.has(name) && isRecord(value)) {
      result[name] = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJsonSchema(inner, depth - 1)]));
    } else result[name] = isCount(name) && typeof value === 'string' ? Number(value) : value;
  }
  if (schema['nullable'] === true && typeof result['type'] === 'string') result['type'] = [result['type'], 'null'];
  return result;
}

/** Google's JSON writes 64-bit numbers as strings. */
function isCount(name: string): boolean {
  return /^(?:min|max)(?:Items|Length|Properties)$/.test(name);
}
