/** docs/configuration.md is generated from the config schema; every key has a meaning, a default and an example, and every example is valid. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { configJsonSchema } from '../src/gateway/config/json-schema.ts';

interface Generator {
  configPage(this: void): string;
  exampleValue(this: void, key: object): unknown;
}
interface TypesGenerator {
  configTypes(this: void): Record<string, string>;
}
const { configPage, exampleValue } = (await import(new URL('../scripts/config-page.mjs', import.meta.url).href)) as Generator;
const { configTypes } = (await import(new URL('../scripts/config-types.mjs', import.meta.url).href)) as TypesGenerator;

const committed = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
const rows = committed.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| key |'));
const cellsOf = (row: string): string[] => row.split(/(?<!\\)\|/).map((cell) => cell.trim());

test('docs/configuration.md is up to date with the config schema', () => {
  assert.equal(committed, configPage(), 'run: npm run schema');
});

test('the types of the config are up to date with the config schema', () => {
  // The committed files are formatted, which moves line breaks and separators.
  const bare = (text: string): string => text.replaceAll(/[\s;,|()]/g, '');
  for (const [name, text] of Object.entries(configTypes())) {
    const file = readFileSync(new URL(`../src/gateway/config/${name}`, import.meta.url), 'utf8');
    assert.equal(bare(file), bare(text), `${name}: run npm run schema`);
  }
});

test('every key of docs/configuration.md has a kind of value, a meaning and an example or a section of its own', () => {
  assert.ok(rows.length > 150);
  const incomplete = rows.filter((row) => {
    const [, key, value, standard, meaning, example] = cellsOf(row);
    const isBlock = /Keys: \[|Overrides of the keys/.test(meaning ?? '');
    return !key || !meaning || (!isBlock && (!value || !standard || !example));
  });
  assert.deepEqual(incomplete, []);
});

test('every example of the schema is a valid value of its key', () => {
  const schema = configJsonSchema();
  const ajv = new Ajv2020({ strict: false, schemas: { config: schema } });
  let checked = 0;
  const walk = (node: unknown, pointer: string): void => {
    if (typeof node !== 'object' || node === null) return;
    if ('description' in node && !('$ref' in node)) {
      const example = exampleValue(node);
      if (example !== undefined) {
        const validate = ajv.compile({ $ref: `config#${pointer}` });
        assert.ok(validate(example), `${pointer}: ${JSON.stringify(example)} ${ajv.errorsText(validate.errors)}`);
        checked += 1;
      }
    }
    for (const [key, child] of Object.entries(node)) {
      walk(child, `${pointer}/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`);
    }
  };
  walk(schema, '');
  assert.ok(checked > 150);
});

test('every link of docs/configuration.md leads to an anchor that exists once', () => {
  const ids = [...committed.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!);
  assert.deepEqual(
    ids.filter((id, at) => ids.indexOf(id) !== at),
    [],
  );
  const known = new Set(ids);
  assert.deepEqual(
    [...committed.matchAll(/\]\(#([^)]+)\)/g)].map(([, id]) => id!).filter((id) => !known.has(id)),
    [],
  );
});
