import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type * as z from 'zod';
import type { ConfigInput } from './config-input.ts';
import type { configSchema } from './schema.ts';

type Written = z.input<typeof configSchema>;
type WrittenClient = NonNullable<Written['clients']>[number];
/** What the schema accepts; a map of clients becomes a list before it is validated. */
type Accepted = Omit<Written, 'clients'> & { clients?: Written['clients'] | Record<string, Omit<WrittenClient, 'name'>> };
type IsSame<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

// Fails the type check if the generated type and the schema differ.
const isSame: IsSame<ConfigInput, Accepted> = true;

test('every key of the generated types has the description of the schema as its doc comment', () => {
  assert.ok(isSame);
  for (const name of ['config-input.ts', 'policy-input.ts', 'provider-input.ts']) {
    const lines = readFileSync(new URL(name, import.meta.url), 'utf8').split('\n');
    const bare = lines.filter((line, at) => /^\s+[\w$]+\??: /.test(line) && !/^\s*\/\*\* \S.* \*\/$/.test(lines[at - 1]!));
    assert.deepEqual(bare, [], name);
  }
});
