/**
 * A provider refuses a share of calls at random, whatever their rate, with and without an unadvertised limit. Each test prints its figures.
 * `SEED=2` runs another seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observe, percent, quantile, refusalsOf, startsOf, type Observed } from './observed.ts';

const MINUTE_MS = 60_000;
const seed = Number(process.env['SEED'] ?? 1);

interface Scenario {
  /** The share of calls that are refused at random. */
  readonly share: number;
  readonly perSecond: number;
  readonly minutes: number;
  readonly retryAfterMs?: number;
  readonly untilMs?: number;
  /** The limit in addition. */
  readonly requestsPerMinute?: number;
}

function play({ share, perSecond, minutes, retryAfterMs, untilMs, requestsPerMinute }: Scenario): Promise<Observed> {
  const fault = {
    kind: 'rate_limit' as const,
    probability: share,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
  return observe({
    seed,
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k' } },
      models: { fast: ['a/m'] },
      policy: { deadline: '60s' },
    },
    providers: {
      a: {
        advertise: false,
        hints: 'none',
        firstTokenMs: { p50: 200, p95: 400 },
        outputTokens: { p50: 40, p95: 80 },
        limits: requestsPerMinute === undefined ? {} : { requestsPerMinute },
        faults: share === 0 ? [] : [fault],
      },
    },
    load: {
      durationMs: minutes * MINUTE_MS,
      requestsPerMinute: perSecond * 60,
      kinds: [{ model: 'fast', inputTokens: { p50: 150, p95: 300 }, outputBound: 100 }],
    },
  });
}

const RANDOM: readonly Scenario[] = [
  { share: 0.01, perSecond: 100, minutes: 2 },
  { share: 0.02, perSecond: 50, minutes: 3, retryAfterMs: 1_000 },
  { share: 0.05, perSecond: 50, minutes: 3 },
  { share: 0.1, perSecond: 50, minutes: 3 },
  { share: 0.1, perSecond: 50, minutes: 3, retryAfterMs: 1_000 },
  { share: 0.1, perSecond: 50, minutes: 3, untilMs: MINUTE_MS },
];

for (const scenario of RANDOM) {
  const { share, perSecond, retryAfterMs, untilMs } = scenario;
  const asked = retryAfterMs === undefined ? '' : ' with Retry-After: 1';
  const until = untilMs === undefined ? '' : ' for a minute';
  test(`random refusals of ${share * 100} % of ${perSecond} calls a second${asked}${until} cost callers nothing`, async (t) => {
    const { records, calls } = await play(scenario);
    const good = records.filter(({ finished }) => finished.outcome === 'success').length;
    const waits = records.map(({ finished }) => finished.queueMs);
    const [p50, p95] = [quantile(waits, 0.5), quantile(waits, 0.95)];
    t.diagnostic(
      `${percent(good, records.length)} served, ${(calls.length / records.length).toFixed(3)} calls each; wait p50 ${Math.round(p50)}, p95 ${Math.round(p95)} ms`,
    );
    assert.ok(good >= 0.99 * records.length, percent(good, records.length));
    assert.ok(p50 < 50, `${p50} ms`);
    assert.ok(calls.length <= 1.2 * records.length, `${calls.length} calls for ${records.length}`);
  });
}

const LIMITED: readonly Scenario[] = [
  { share: 0, perSecond: 3, minutes: 8, requestsPerMinute: 120 },
  { share: 0, perSecond: 20, minutes: 6, requestsPerMinute: 600 },
  { share: 0.02, perSecond: 20, minutes: 6, requestsPerMinute: 600, retryAfterMs: 1_000 },
  { share: 0.05, perSecond: 20, minutes: 6, requestsPerMinute: 600 },
];

for (const scenario of LIMITED) {
  const { share, minutes, requestsPerMinute = 0 } = scenario;
  test(`a limit of ${requestsPerMinute} a minute is found and used beside random refusals of ${share * 100} %`, async (t) => {
    const { calls } = await play(scenario);
    const [from, until] = [2 * MINUTE_MS, minutes * MINUTE_MS];
    const [refused, starts] = [refusalsOf(calls, from, until).length, startsOf(calls, from, until).length];
    const used = starts / ((minutes - 2) * requestsPerMinute);
    t.diagnostic(`${percent(refused, refused + starts)} over the limit after two minutes, ${percent(used, 1)} of it used`);
    assert.ok(refused < 0.02 * (refused + starts), percent(refused, refused + starts));
    assert.ok(used >= 0.9, percent(used, 1));
  });
}

test('random refusals cost callers nothing below a limit', async (t) => {
  const { records, calls } = await play({ share: 0.05, perSecond: 8, minutes: 4, requestsPerMinute: 600 });
  const good = records.filter(({ finished }) => finished.outcome === 'success').length;
  const p50 = quantile(
    records.map(({ finished }) => finished.queueMs),
    0.5,
  );
  t.diagnostic(
    `${percent(good, records.length)} served; wait p50 ${Math.round(p50)} ms; ${refusalsOf(calls, 0, Infinity).length} over the limit`,
  );
  assert.ok(good >= 0.99 * records.length, percent(good, records.length));
  assert.ok(p50 < 50, `${p50} ms`);
  assert.equal(refusalsOf(calls, 0, Infinity).length, 0);
});
