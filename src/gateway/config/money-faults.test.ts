/** Faults of budgets and prices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './parse-config.ts';

const withX = (input: object): object => ({ providers: { x: { baseUrl: 'http://127.0.0.1:1/v1' } }, ...input });

const cases: readonly (readonly [input: object, line: string])[] = [
  [
    withX({ clients: [{ name: 'a', key: 'k-1', budget: { usd: 1, per: 'day', onExhausted: 'cheap' } }] }),
    'clients[0].budget.onExhausted: must be a target, provider/model (got "cheap")',
  ],
  [
    withX({ clients: [{ name: 'a', key: 'k-1', budget: { usd: 1, per: 'day', onExhausted: 'y/cheap' } }] }),
    'clients[0].budget.onExhausted: names a provider that is not configured (got "y/cheap")',
  ],
  [
    withX({ prices: { m: { input: 1, above: [{ tokens: 1000, input: 2 }] } } }),
    'prices.m.above[0].tokens: must be one of 32000, 64000, 100000, 128000, 200000, 256000, 272000, 512000',
  ],
];

for (const [input, line] of cases) {
  test(line, () => {
    const result = parseConfig(input, { source: 'library' });
    assert.deepEqual(result.ok ? [] : result.faults.map(({ message }) => message), [line]);
  });
}
