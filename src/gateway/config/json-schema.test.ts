import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configJsonSchema } from './json-schema.ts';

type Node = { [key: string]: unknown };

test('the committed JSON Schema is up to date with the config schema', () => {
  const committed: unknown = JSON.parse(readFileSync(new URL('../../../breakwater.schema.json', import.meta.url), 'utf8'));
  assert.deepEqual(committed, JSON.parse(JSON.stringify(configJsonSchema())), 'run: node scripts/write-schema.mjs');
});

test('every key has a description', () => {
  const bare: string[] = [];
  const definitions = (configJsonSchema()['$defs'] ?? {}) as Record<string, Node>;
  for (const [id, definition] of Object.entries(definitions)) {
    for (const [key, property] of Object.entries((definition['properties'] ?? {}) as Record<string, Node>)) {
      const target = typeof property['$ref'] === 'string' ? definitions[property['$ref'].split('/').at(-1) ?? ''] : property;
      if (typeof property['description'] !== 'string' && typeof target?.['description'] !== 'string') bare.push(`${id}.${key}`);
    }
  }
  assert.deepEqual(bare, []);
});

test('the JSON Schema accepts a value from the environment for every kind of setting', () => {
  const definitions = configJsonSchema()['$defs'] as Record<string, { properties: Record<string, unknown> }>;
  for (const [id, key] of [
    ['Server', 'port'],
    ['Server', 'allowAnonymous'],
    ['Timeouts', 'connect'],
    ['Timeouts', 'headers'],
    ['Client', 'priority'],
    ['Client', 'keyHash'],
    ['Stream', 'recover'],
  ] as const) {
    assert.ok(accepts(definitions[id]?.properties[key] as Node, '${NAME}'), `${id}.${key}`);
  }
});

/** Validates a single string. */
function accepts(schema: Node, text: string): boolean {
  const branches = schema['anyOf'] as Node[] | undefined;
  if (branches !== undefined) return branches.some((branch) => accepts(branch, text));
  if (schema['const'] !== undefined) return schema['const'] === text;
  if (Array.isArray(schema['enum'])) return schema['enum'].includes(text);
  return schema['type'] === 'string' && new RegExp((schema['pattern'] as string | undefined) ?? '', 'u').test(text);
}
