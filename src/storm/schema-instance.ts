/** Generates an instance of a JSON Schema, for the keywords that structured outputs support. */
import { isRecord } from '../core/json.ts';
import type { Random } from '../core/random.ts';

type Schema = Record<string, unknown>;

/** Schemas can be recursive: beyond these bounds on depth and size the value is null. */
const DEPTH_MAX = 8;
const VALUES_MAX = 1000;
const ITEMS_MAX = 20;
const LENGTH_MAX = 200;

interface Building {
  root: Schema;
  random: Random;
  valuesLeft: number;
}

/** A value for `schema`: all properties are present, the first alternative is used. An unknown schema yields an empty object. */
export function instanceOf(schema: unknown, random: Random): unknown {
  const root = asSchema(schema);
  return build(root, { root, random, valuesLeft: VALUES_MAX }, 0);
}

function build(schema: Schema, building: Building, depth: number): unknown {
  if (depth > DEPTH_MAX || building.valuesLeft-- <= 0) return null;
  const { enum: values, anyOf, oneOf, allOf, $ref: reference, const: fixed } = schema;
  if (fixed !== undefined) return fixed;
  if (Array.isArray(values)) return values[Math.floor(building.random.next() * values.length)] ?? null;
  if (typeof reference === 'string') return build(resolve(reference, building.root), building, depth + 1);
  for (const alternatives of [anyOf, oneOf, allOf]) {
    if (Array.isArray(alternatives)) return build(asSchema(alternatives[0]), building, depth + 1);
  }
  return buildType(schema, building, depth);
}

function buildType(schema: Schema, building: Building, depth: number): unknown {
  const { random } = building;
  const type: unknown = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  // Gemini's schemas write type names in upper case.
  switch (typeof type === 'string' ? type.toLowerCase() : type) {
    case 'array': {
      const length = within(schema['minItems'], 1, ITEMS_MAX);
      return Array.from({ length }, () => build(asSchema(schema['items'] ?? { type: 'string' }), building, depth + 1));
    }
    case 'string': {
      const word = ['harbour', 'storm', 'anchor', 'lantern'][Math.floor(random.next() * 4)] ?? '';
      return word.padEnd(within(schema['minLength'], 0, LENGTH_MAX), '.').slice(0, within(schema['maxLength'], 0, LENGTH_MAX, LENGTH_MAX));
    }
    case 'integer':
    case 'number': {
      const low = asNumber(schema['minimum'], 0);
      return Math.floor(low + random.next() * (asNumber(schema['maximum'], low + 100) - low));
    }
    case 'boolean':
      return random.next() < 0.5;
    case 'null':
      return null;
    default: {
      const properties = Object.entries(asSchema(schema['properties']));
      return Object.fromEntries(properties.map(([name, property]) => [name, build(asSchema(property), building, depth + 1)]));
    }
  }
}

function resolve(reference: string, root: Schema): Schema {
  let at: unknown = root;
  for (const step of reference.replace(/^#\/?/, '').split('/')) at = asSchema(at)[step];
  return asSchema(at);
}

function asNumber(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

/** A requested length, clamped to `min` and `max`. */
function within(value: unknown, min: number, max: number, otherwise = min): number {
  return Math.min(max, Math.max(min, Math.floor(asNumber(value, otherwise))));
}

function asSchema(value: unknown): Schema {
  return isRecord(value) ? value : {};
}
