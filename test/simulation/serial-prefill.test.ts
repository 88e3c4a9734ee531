/**
 * A provider without limits that processes prompts one after the other: a burst of them starts slowly, however many calls run. A limit
 * inferred from that must not exclude the calls that would disprove it. `SEED=2` runs another seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observe, quantile, type Observed } from './observed.ts';

const seed = Number(process.env['SEED'] ?? 1);
const PREFILL_MS = 15;

interface Burst {
  readonly seconds: number;
  readonly perSecond: number;
  readonly concurrency?: number;
}

function burst({ seconds, perSecond, concurrency }: Burst): Promise<Observed> {
  const limits = concurrency === undefined ? {} : { limits: { concurrency } };
  return observe({
    seed,
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://10.0.0.1/v1', apiKey: 'k', ...limits } },
      models: { fast: ['a/m'] },
      policy: { deadline: '50s' },
    },
    providers: { a: { firstTokenMs: 5, prefillMs: PREFILL_MS, tokensPerSecond: 20, outputTokens: 2_400, eventsMax: 20 } },
    load: {
      durationMs: seconds * 1_000,
      requestsPerMinute: perSecond * 60,
      kinds: [{ model: 'fast', inputTokens: 300, stream: 1 }],
    },
  });
}

const BURSTS: readonly Burst[] = [
  { seconds: 4, perSecond: 100 },
  { seconds: 4, perSecond: 100, concurrency: 2_000 },
  { seconds: 10, perSecond: 200 },
  { seconds: 120, perSecond: 40 },
];

for (const one of BURSTS) {
  const configured = one.concurrency === undefined ? '' : ` and ${one.concurrency} allowed at once`;
  test(`streams of two minutes, ${one.perSecond} a second for ${one.seconds} s${configured}, all start within seconds`, async (t) => {
    const { records, calls } = await burst(one);
    const served = records.filter(({ finished }) => finished.outcome === 'success').length;
    const waits = records.map(({ finished }) => finished.queueMs);
    t.diagnostic(
      `${served} of ${records.length} served with ${calls.length} calls; wait p50 ${Math.round(quantile(waits, 0.5))}, p99 ${Math.round(quantile(waits, 0.99))} ms, ${Math.round(Math.max(...waits))} at most`,
    );
    assert.equal(served, records.length);
    assert.ok(Math.max(...waits) < 10_000, `${Math.max(...waits)} ms`);
    if (one.perSecond <= 100) assert.ok(quantile(waits, 0.5) < 50, `${quantile(waits, 0.5)} ms`);
  });
}
