/** docs/providers.md lists every preset with what the configuration knows of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { presets } from '../src/gateway/config/presets.ts';
import type { Preset } from '../src/gateway/config/presets.ts';

const doc = readFileSync(new URL('../docs/providers.md', import.meta.url), 'utf8');
const rows = new Map(doc.split('\n').flatMap((line) => (/^\| `([\w-]+)` \|/.test(line) ? [[line.split('`')[1]!, line] as const] : [])));

test('every preset has a row, and no other provider has one', () => {
  assert.deepEqual([...rows.keys()].toSorted(), Object.keys(presets).toSorted());
});

for (const [name, preset] of Object.entries<Preset>(presets)) {
  test(`the row of ${name} is what the configuration has`, () => {
    const cells = rows
      .get(name)!
      .split('|')
      .map((cell) => cell.trim());
    const auth = preset.auth === 'bearer' ? '`Authorization: Bearer`' : `\`${preset.auth}\``;
    const keys = preset.keyNames.map((key) => `\`${key}\``).join(', ') || 'none needed';
    const url = preset.baseUrl === null ? 'to be configured' : `\`${preset.baseUrl}\``;
    assert.deepEqual(cells.slice(2, 8), [preset.protocol, url, keys, auth, preset.rateLimitHeaders, preset.limitScope]);
  });
}
