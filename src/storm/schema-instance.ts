/** Makes a value that fits a JSON Schema, as far as structured outputs use it. */
import type { Random } from '../core/random.ts';

type Schema = Record<string, unknown>;

const DEPTH_MAX = 8;

/** A value for `schema`: every property is filled in, the first alternative is taken. An unknown schema gives an empty object. */
export function instanceOf(schema: unknown, random: Random): unknown {
  return build(isObject(schema) ? schema : {}, isObject(schema) ? schema : {}, random, 0);
}

function build(schema: Schema, root: Schema, random: Random, depth: number): unknown {
  if ('const' in schema) return schema['const'];
  const { enum: values, anyOf, oneOf, allOf, $ref: reference } = schema;
  if (Array.isArray(values)) return values[Math.floor(random.next() * values.length)];
  if (depth > DEPTH_MAX) return null;
  if (typeof reference === 'string') return build(resolve(reference, root), root, random, depth + 1);
  for (const alternatives of [anyOf, oneOf, allOf]) {
    if (Array.isArray(alternatives) && isObject(alternatives[0])) return build(alternatives[0], root, random, depth + 1);
  }
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  if (type === 'array') return buildArray(schema, root, random, depth);
  if (type === 'string') return buildString(schema, random);
  if (type === 'integer' || type === 'number') return buildNumber(schema, random);
  if (type === 'boolean') return random.next() < 0.5;
  if (type === 'null') return null;
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name, build(isObject(property) ? property : {}, root, random, depth + 1)]),
  );
}

function buildArray(schema: Schema, root: Schema, random: Random, depth: number): unknown[] {
  const items = isObject(schema['items']) ? schema['items'] : { type: 'string' };
  const length = Math.max(1, asNumber(schema['minItems'], 1));
  return Array.from({ length }, () => build(items, root, random, depth + 1));
}

function buildString(schema: Schema, random: Random): string {
  const word = ['harbour', 'storm', 'anchor', 'lantern'][Math.floor(random.next() * 4)]!;
  return word.padEnd(asNumber(schema['minLength'], 0), '.').slice(0, asNumber(schema['maxLength'], Infinity));
}

function buildNumber(schema: Schema, random: Random): number {
  const low = asNumber(schema['minimum'], 0);
  const high = asNumber(schema['maximum'], low + 100);
  return Math.floor(low + random.next() * (high - low));
}

function resolve(reference: string, root: Schema): Schema {
  let at: unknown = root;
  for (const step of reference.replace(/^#\/?/, '').split('/')) at = isObject(at) ? at[step] : undefined;
  return isObject(at) ? at : {};
}

function asNumber(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
