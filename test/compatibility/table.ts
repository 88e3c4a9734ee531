/** The table of docs/compatibility.md: compared with what the tests find, or written by them (`BREAKWATER_WRITE_DOCS=1`). */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { TARGETS, tryForms } from './forms.ts';
import type { Client } from './forms.ts';

const file = new URL('../../docs/compatibility.md', import.meta.url);

/** Tries a client before every target, and compares its row with the page. */
export async function checkRow(t: TestContext, client: Client): Promise<void> {
  const startedAt = performance.now();
  const cells: string[] = [];
  for (const target of TARGETS) {
    const failed = await tryForms(client, target);
    for (const [form, reason] of failed) t.diagnostic(`${target}, ${form}: ${reason}`);
    cells.push(failed.size === 0 ? 'all' : `all but ${[...failed.keys()].join(', ')}`);
  }
  t.diagnostic(`${Math.round(performance.now() - startedAt)} ms`);
  const row = `| ${client.name} | ${client.version} | ${cells.join(' | ')} |`;
  const page = readFileSync(file, 'utf8');
  const lines = page.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`| ${client.name} |`));
  assert.ok(at !== -1, `docs/compatibility.md has no row for ${client.name}`);
  if (process.env['BREAKWATER_WRITE_DOCS'] === '1') writeFileSync(file, lines.with(at, row).join('\n'));
  else assert.equal(lines[at], row, 'docs/compatibility.md is out of date: BREAKWATER_WRITE_DOCS=1 writes the row');
}
