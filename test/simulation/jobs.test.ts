/** Jobs beside interactive callers: they use the remaining capacity, and callers wait no longer than without them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observe, type RequestRecord } from './observed.ts';

const PER_MINUTE = 1_200;
const MINUTES = 5;

const key = (name: string): string => `${name}-key-0123456789`;

function play(seed: number, limits: object, withJobs: boolean): Promise<{ records: readonly RequestRecord[] }> {
  const kind = { model: 'fast', stream: 0, inputTokens: { p50: 150, p95: 400 }, outputBound: 200, outputTokens: { p50: 60, p95: 150 } };
  const callers = { ...kind, weight: 0.1, client: 'web', deadlineMs: { p50: 60_000, p95: 120_000 } };
  const jobs = { ...kind, weight: 1.1, priority: 'job' as const, client: 'batch', deadlineMs: 3_600_000 };
  return observe({
    seed,
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k', limits } },
      models: { fast: ['a/m'] },
      clients: [
        { name: 'web', key: key('web'), priority: 'normal' },
        { name: 'batch', key: key('batch'), priority: 'low' },
      ],
    },
    providers: { a: { limits } },
    load: {
      durationMs: MINUTES * 60_000,
      requestsPerMinute: PER_MINUTE * (withJobs ? 1.2 : 0.1),
      kinds: withJobs ? [callers, jobs] : [callers],
    },
  });
}

const of = (records: readonly RequestRecord[], client: string): RequestRecord[] =>
  records.filter(({ received }) => received.client === client);

function p95(records: readonly RequestRecord[]): number {
  const waits = records.map(({ finished }) => finished.queueMs).sort((a, b) => a - b);
  return waits[Math.floor(waits.length * 0.95)]!;
}

for (const [name, limits] of [
  ['a limit of requests', { requestsPerMinute: PER_MINUTE, burst: 0.1 }],
  ['a concurrency limit', { concurrency: 20 }],
] as const) {
  for (const seed of [1, 2]) {
    test(`beside a flood of jobs callers wait no longer, and the remaining capacity is used, with ${name} (seed ${seed})`, async (t) => {
      const [alone, beside] = [await play(seed, limits, false), await play(seed, limits, true)];
      const [callers, jobs] = [of(beside.records, 'web'), of(beside.records, 'batch')];
      const [before, after] = [p95(of(alone.records, 'web')), p95(callers)];
      const within = jobs.filter(({ finished }) => finished.outcome === 'success' && finished.at <= MINUTES * 60_000).length;
      const share = (within + callers.length) / (PER_MINUTE * MINUTES);
      t.diagnostic(
        `p95 of callers ${before.toFixed(1)} ms alone, ${after.toFixed(1)} ms beside; ${(share * 100).toFixed(1)} % of the limit used`,
      );
      assert.ok(after - before <= 50, `${after - before} ms longer`);
      assert.ok(callers.every(({ finished }) => finished.outcome === 'success'));
      assert.ok(jobs.every(({ finished }) => finished.outcome === 'success'));
      if ('requestsPerMinute' in limits) assert.ok(share >= 0.85, `${share}`);
    });
  }
}
