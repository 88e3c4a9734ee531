import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRates } from '../core/price.ts';
import { usageReport } from '../gateway/money/usage-report.ts';
import { emptyCounts } from '../gateway/money/usage-row.ts';
import type { UsageRow } from '../gateway/money/usage-row.ts';
import { usage, usageTable } from './usage.ts';

const price = { ...completeRates({ input: 1, output: 2 }), above: [], tiers: {} };

function tableOf(more: Partial<UsageRow>, incomplete?: true): string {
  const key = { day: '2026-11-30', client: 'web', model: 'fast', target: 'a/m', tier: null, size: 0, wasted: false, basis: undefined };
  const counts = emptyCounts();
  counts.tokens.input = 1_500_000;
  const report = usageReport([{ ...key, ...counts, calls: 3, ...more }], ['client'], () => price);
  return usageTable({ from: '2026-11-01', to: '2026-11-30', by: ['client'], ...report, ...(incomplete && { incomplete }) });
}

test('usage is a table with its cost, and no more where all of it is known', () => {
  const lines = tableOf({}).trimEnd().split('\n');
  assert.equal(lines[0], 'Usage from 2026-11-01 to 2026-11-30 (UTC)');
  assert.match(lines.at(-2)!, /^web +3 +1,500,000 +0 +0 +\$1\.50/);
  assert.match(lines.at(-1)!, /^total +3 /);
});

test('the table says what its cost lacks, and what that is by estimate', () => {
  const text = tableOf({ unmeasured: 2, estimatedInput: 250_000 });
  assert.match(text, /does not contain all of the unpriced calls: .* By estimate, what was not reported cost \$0\.25\./);
  assert.doesNotMatch(text, /Incomplete/);
});

test('the table says that calls are missing', () => {
  assert.match(tableOf({}, true), /Incomplete: the gateway cannot read its store at present/);
});

test('JSON and CSV at once are refused', async () => {
  await assert.rejects(usage({ by: 'client', json: true, csv: true }), /--json and --csv exclude each other/);
});
