/** JSON Schemas across dialects: OpenAI's strict mode and Anthropic's structured output each accept a subset of the language. */
import { isRecord } from '../core/json.ts';
import { listOf } from './loose-values.ts';
import type { Fields } from './loose-values.ts';

/** True if OpenAI's strict mode accepts the schema: every object is closed and requires all its properties. */
export function isStrictSchema(schema: unknown): boolean {
  if (!isRecord(schema)) return true;
  if (schema['type'] === 'object' || isRecord(schema['properties'])) {
    const required = new Set(listOf(schema['required']));
    const names = isRecord(schema['properties']) ? Object.keys(schema['properties']) : [];
    if (schema['additionalProperties'] !== false || !names.every((name) => required.has(name))) return false;
  }
  return innerSchemas(schema).every(isStrictSchema);
}

/** True if an object in it may have members of any name, which Anthropic's structured output can't express. */
export function isOpenSchema(schema: unknown): boolean {
  if (!isRecord(schema)) return false;
  const more = schema['additionalProperties'];
  if (more === true || isRecord(more) || schema['patternProperties'] !== undefined) return true;
  return innerSchemas(schema).some(isOpenSchema);
}

const MAPS = ['properties', '$defs', 'definitions'] as const;
const LISTS = ['anyOf', 'oneOf', 'allOf'] as const;

function innerSchemas(schema: Fields): unknown[] {
  const { items } = schema;
  return [
    ...(items === undefined ? [] : Array.isArray(items) ? items : [items]),
    ...MAPS.flatMap((name) => (isRecord(schema[name]) ? Object.values(schema[name]) : [])),
    ...LISTS.flatMap((name) => listOf(schema[name])),
  ];
}

/** Keywords that Anthropic's structured output rejects; they are moved to the description, where the model reads them. */
const REFUSED: ReadonlySet<string> = new Set([
  'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength', 'maxItems', 'uniqueItems',
  'minProperties', 'maxProperties', 'contains', 'propertyNames', 'not', 'if', 'then', 'else',
]); // prettier-ignore

/** The schema in a form that Anthropic's structured output accepts: objects are closed, and rejected keywords moved to the description. */
export function toClosedSchema(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const closed: Fields = {};
  const moved: string[] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (name === '$schema') continue;
    if (REFUSED.has(name) || (name === 'minItems' && value !== 0 && value !== 1)) moved.push(`${name}: ${JSON.stringify(value)}`);
    else if (name === 'oneOf') closed['anyOf'] = closedInner('anyOf', value);
    else closed[name] = closedInner(name, value);
  }
  if (schema['type'] === 'object' || isRecord(schema['properties'])) closed['additionalProperties'] = false;
  if (moved.length === 0) return closed;
  const described = typeof schema['description'] === 'string' ? `${schema['description']} ` : '';
  return { ...closed, description: `${described}(${moved.join(', ')})` };
}

function closedInner(name: string, value: unknown): unknown {
  if (name === 'items') return Array.isArray(value) ? value.map(toClosedSchema) : toClosedSchema(value);
  if ((LISTS as readonly string[]).includes(name)) return listOf(value).map(toClosedSchema);
  if (!(MAPS as readonly string[]).includes(name) || !isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toClosedSchema(inner)]));
}
