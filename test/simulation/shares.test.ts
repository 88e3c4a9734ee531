/**
 * A client that requests several times what the provider allows keeps the queue full, with a lower priority or the same one. Other classes
 * and clients are not affected: their requests get places and are served.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Priority } from '../../src/core/request.ts';
import { observe, percent, type RequestRecord } from './observed.ts';

const CAPACITY_PER_MINUTE = 600;
const PLACES = 100;

const key = (name: string): string => `${name}-key-0123456789`;
const client = (name: string, priority: Priority) => ({ name, key: key(name), priority });

interface Flood {
  readonly seed: number;
  readonly greedy: Priority;
  readonly modest: Priority;
  readonly places: number;
  readonly greedyDeadlineMs: { readonly p50: number; readonly p95: number };
}

function flood({ seed, greedy, modest, places, greedyDeadlineMs }: Flood): Promise<{ records: readonly RequestRecord[] }> {
  const limits = { requestsPerMinute: CAPACITY_PER_MINUTE };
  const kind = { model: 'fast', inputTokens: { p50: 150, p95: 400 }, outputBound: 200, outputTokens: { p50: 60, p95: 150 } };
  return observe({
    seed,
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k', limits } },
      models: { fast: ['a/m'] },
      clients: [client('greedy', greedy), client('modest', modest), client('third', 'normal')],
      policy: { queue: { maxSize: places } },
    },
    providers: { a: { limits } },
    load: {
      durationMs: 2 * 60_000,
      requestsPerMinute: CAPACITY_PER_MINUTE * 4.4,
      kinds: [
        { ...kind, weight: 4, priority: greedy, client: 'greedy', deadlineMs: greedyDeadlineMs },
        { ...kind, weight: 0.3, priority: modest, client: 'modest', deadlineMs: { p50: 60_000, p95: 120_000 } },
        { ...kind, weight: 0.1, priority: 'normal', client: 'third', deadlineMs: { p50: 60_000, p95: 120_000 } },
      ],
    },
  });
}

for (const [greedy, modest] of [
  ['low', 'high'],
  ['normal', 'high'],
  ['low', 'normal'],
  ['normal', 'normal'],
  ['high', 'high'],
] as const) {
  for (const seed of [1, 2]) {
    test(`a ${greedy} client that keeps the queue full takes nothing from a ${modest} one (seed ${seed})`, async (t) => {
      const { records } = await flood({ seed, greedy, modest, places: PLACES, greedyDeadlineMs: { p50: 300_000, p95: 600_000 } });
      const of = (name: string): RequestRecord[] => records.filter(({ received }) => received.client === name);
      const failed = (name: string): RequestRecord[] => of(name).filter(({ finished }) => finished.outcome !== 'success');
      const full = failed('greedy').filter(({ finished }) => finished.code === 'queue_full').length;
      t.diagnostic(
        `greedy: ${of('greedy').length} requests, ${percent(failed('greedy').length, of('greedy').length)} fail, ${full} of them at the full queue; ` +
          `modest: ${of('modest').length}, ${failed('modest').length} fail; third: ${of('third').length}, ${failed('third').length} fail`,
      );
      assert.ok(full > 200, 'the queue is full most of the time');
      assert.deepEqual(
        failed('modest').map(({ finished }) => finished.code),
        [],
      );
      assert.deepEqual(
        failed('third').map(({ finished }) => finished.code),
        [],
      );
    });
  }
}

for (const seed of [1, 2]) {
  test(`a client whose requests are all more urgent does not cause those of another one to be refused (seed ${seed})`, async (t) => {
    const urgent = { p50: 20_000, p95: 40_000 };
    const { records } = await flood({ seed, greedy: 'normal', modest: 'normal', places: 10_000, greedyDeadlineMs: urgent });
    const failed = (name: string): number =>
      records.filter(({ received, finished }) => received.client === name && finished.outcome !== 'success').length;
    t.diagnostic(`greedy: ${failed('greedy')} fail; modest: ${failed('modest')}; third: ${failed('third')}`);
    assert.ok(failed('greedy') > 1_000, 'the greedy client requests far more than its share');
    assert.deepEqual([failed('modest'), failed('third')], [0, 0]);
  });
}
