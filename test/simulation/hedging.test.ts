/** The purpose of hedging, and its bounds: the longest waits get shorter for a few more calls, and overload gets no hedges. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import type { Load } from '../../src/testing/workload.ts';
import { observe, percent, quantile } from './observed.ts';
import type { Observed } from './observed.ts';

const MINUTE_MS = 60_000;
const BUDGET = 0.05;
/** A quantile is known after fifty responses. */
const LEARNING_MS = 2 * MINUTE_MS;

interface Stage {
  readonly hedges: boolean;
  readonly providers: Readonly<Record<string, ProviderBehaviour>>;
  readonly limits?: Readonly<Record<string, number>>;
  readonly load: Partial<Load>;
  readonly stream: number;
}

function play({ hedges, providers, limits, load, stream }: Stage): Promise<Observed> {
  const names = Object.keys(providers);
  const config: ConfigInput = {
    providers: Object.fromEntries(
      names.map((name) => [name, { protocol: 'openai', baseUrl: `http://${name}.invalid/v1`, apiKey: 'k', ...(limits && { limits }) }]),
    ),
    models: { fast: names.map((name) => `${name}/m`) },
    policy: { hedge: { enabled: hedges, budget: BUDGET } },
  };
  const kinds = [{ model: 'fast', stream, inputTokens: 200, outputBound: 100, outputTokens: 60, deadlineMs: 120_000 }];
  return observe({ config, providers, load: { durationMs: 30 * MINUTE_MS, requestsPerMinute: 120, kinds, ...load } });
}

const waits = ({ records }: Observed): number[] =>
  records.filter(({ received }) => received.at >= LEARNING_MS).map(({ finished }) => finished.firstContentMs ?? Infinity);
const served = ({ records }: Observed): number => records.filter(({ finished }) => finished.outcome === 'success').length;

/** A long tail: one call in a hundred takes seventeen times as long as most. */
const TAIL = { p50: 400, p95: 3_000 };

for (const [stream, kind, share] of [
  [1, 'streams', 0.7],
  // Their tail is that of the first token; the rest takes one more second in any case.
  [0, 'plain requests', 0.85],
] as const) {
  test(`the longest waits of ${kind} get shorter, for calls within the budget`, { timeout: 120_000 }, async (t) => {
    const providers = { a: { firstTokenMs: TAIL }, b: { firstTokenMs: TAIL } };
    const [without, withHedges] = await Promise.all([false, true].map((hedges) => play({ hedges, providers, load: {}, stream })));
    const [before, after] = [waits(without!), waits(withHedges!)];
    const hedges = withHedges!.beside.length;
    const seconds = (values: number[], part: number): string => (quantile(values, part) / 1000).toFixed(2);
    t.diagnostic(
      `p50 ${seconds(before, 0.5)} s → ${seconds(after, 0.5)} s, p95 ${seconds(before, 0.95)} → ${seconds(after, 0.95)}, p99 ${seconds(before, 0.99)} → ${seconds(after, 0.99)}, ${hedges} calls more for ${after.length} requests (${percent(hedges, after.length)})`,
    );
    assert.equal(served(withHedges!), withHedges!.records.length);
    assert.ok(quantile(after, 0.99) <= share * quantile(before, 0.99), 'p99');
    assert.ok(quantile(after, 0.5) <= 1.1 * quantile(before, 0.5), 'p50');
    assert.ok(hedges > 0 && hedges <= BUDGET * withHedges!.records.length, `${hedges}`);
    assert.ok(withHedges!.calls.length <= withHedges!.records.length + hedges); // some are closed before they arrive
  });
}

test('at twice the capacity no request is hedged, and as much is served as without hedging', { timeout: 120_000 }, async (t) => {
  const limits = { requestsPerMinute: 60, concurrency: 20 };
  const providers = { a: { firstTokenMs: TAIL, limits }, b: { firstTokenMs: TAIL, limits } };
  const load = { requestsPerMinute: 240, durationMs: 15 * MINUTE_MS };
  const [without, withHedges] = await Promise.all([false, true].map((hedges) => play({ hedges, providers, limits, load, stream: 1 })));
  const hedges = withHedges!.beside.length;
  t.diagnostic(`${served(without!)} served without, ${served(withHedges!)} with, ${hedges} hedges`);
  assert.ok(hedges <= 5, `${hedges}`);
  assert.ok(served(withHedges!) >= 0.99 * served(without!));
});

test('a silent outage costs callers less, and the providers no more than the budgets', { timeout: 120_000 }, async (t) => {
  const silent = { faults: [{ kind: 'silence' as const, fromMs: 10 * MINUTE_MS, untilMs: 20 * MINUTE_MS }] };
  const providers = { a: silent, b: {} };
  const [without, withHedges] = await Promise.all([false, true].map((hedges) => play({ hedges, providers, load: {}, stream: 1 })));
  const slow = (observed: Observed): number => waits(observed).filter((wait) => wait > 10_000).length;
  const calls = withHedges!.calls.length / withHedges!.records.length;
  t.diagnostic(
    `${slow(without!)} waited for more than ten seconds without, ${slow(withHedges!)} with; ${calls.toFixed(3)} calls for each request`,
  );
  assert.equal(served(withHedges!), withHedges!.records.length);
  assert.ok(slow(withHedges!) <= slow(without!));
  assert.ok(calls <= 1.2);
});
