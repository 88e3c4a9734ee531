/** Limits and knees that are not configured have to be learned. Each test prints its figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import { observe, percent, quantile, refusalsOf, startsOf, type Observed, type ScenarioParts } from './observed.ts';

const MINUTE_MS = 60_000;
const LIMITS = { requestsPerMinute: 120, tokensPerMinute: 50_000 };

const LOAD_KINDS = [{ model: 'fast', inputTokens: { p50: 150, p95: 300 }, outputBound: 150, outputTokens: { p50: 80, p95: 140 } }] as const;

function coldStart(behaviour: ProviderBehaviour, more: Partial<ScenarioParts> = {}): Promise<Observed> {
  return observe({
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k' } },
      models: { fast: ['a/m'] },
      policy: { deadline: '2m' },
    },
    providers: { a: { limits: LIMITS, ...behaviour } },
    load: {
      durationMs: 11 * MINUTE_MS,
      requestsPerMinute: 160,
      kinds: LOAD_KINDS,
    },
    ...more,
  });
}

/** The larger of the used shares of a provider's two limits. */
function usedOf(calls: Observed['calls'], fromMs: number, untilMs: number): number {
  const minutes = (untilMs - fromMs) / MINUTE_MS;
  const starts = startsOf(calls, fromMs, untilMs);
  const tokens = starts.reduce((sum, { request }) => sum + request.inputTokens + (request.outputBound ?? 0), 0);
  return Math.max(starts.length / (LIMITS.requestsPerMinute * minutes), tokens / (LIMITS.tokensPerMinute * minutes));
}

test('a cold start against limits that are advertised in headers', { timeout: 170_000 }, async (t) => {
  const { calls, records } = await coldStart({ advertise: true });
  const [first, later] = [refusalsOf(calls, 0, MINUTE_MS).length, refusalsOf(calls, MINUTE_MS, 11 * MINUTE_MS).length];
  const served = records.filter(({ finished }) => finished.outcome === 'success').length;
  t.diagnostic(
    `${first} rate-limit responses in the first minute, ${later} in the next ten; ${percent(usedOf(calls, MINUTE_MS, 11 * MINUTE_MS), 1)} used; ${percent(served, records.length)} served`,
  );
  await t.test('at most 3 rate-limit responses in the first minute', () => assert.ok(first <= 3, `${first}`));
  await t.test('none in the next ten', () => assert.equal(later, 0));
});

test('a cold start against limits that are not advertised', { timeout: 170_000 }, async (t) => {
  const { calls } = await coldStart({ advertise: false, hints: 'none' });
  const [from, until] = [2 * MINUTE_MS, 11 * MINUTE_MS];
  const refused = refusalsOf(calls, from, until).length;
  const all = refused + startsOf(calls, from, until).length;
  const used = usedOf(calls, from, until);
  t.diagnostic(`${percent(refused, all)} rate-limit responses after two minutes, ${percent(used, 1)} of the capacity used`);
  await t.test('less than 2 % rate-limit responses after two minutes', () => {
    assert.ok(refused < 0.02 * all, percent(refused, all));
  });
  await t.test('at 90 % of the capacity used', () => assert.ok(used >= 0.9, percent(used, 1)));
});

test('a cold start under ten times what the limits allow', { timeout: 170_000 }, async (t) => {
  const load = { durationMs: 2 * MINUTE_MS, requestsPerMinute: 1_200, kinds: LOAD_KINDS };
  const { calls, records } = await coldStart({ advertise: true }, { load });
  const [first, later] = [refusalsOf(calls, 0, MINUTE_MS).length, refusalsOf(calls, MINUTE_MS, 5 * MINUTE_MS).length];
  t.diagnostic(`${records.length} requests: ${first} rate-limit responses in the first minute, ${later} after it`);
  assert.ok(first <= 3 && later === 0, `${first} and ${later}`);
});

test('a token limit that is not advertised', { timeout: 170_000 }, async (t) => {
  const limits = { tokensPerMinute: 20_000 };
  const load = { durationMs: 8 * MINUTE_MS, requestsPerMinute: 160, kinds: LOAD_KINDS };
  const { calls } = await coldStart({ advertise: false, hints: 'none', limits }, { load });
  const [from, until] = [2 * MINUTE_MS, 8 * MINUTE_MS];
  const refused = refusalsOf(calls, from, until).length;
  const starts = startsOf(calls, from, until);
  const tokens = starts.reduce((sum, { request }) => sum + request.inputTokens + 80, 0);
  t.diagnostic(
    `${percent(refused, refused + starts.length)} rate-limit responses after two minutes, about ${percent(tokens, 20_000 * 6)} used`,
  );
  assert.ok(refused < 0.02 * (refused + starts.length), `${refused} of ${starts.length}`);
  assert.ok(tokens >= 0.9 * 20_000 * 6, `${tokens}`);
});

test('a provider without limits is not slowed down', { timeout: 170_000 }, async (t) => {
  const load = { durationMs: 3 * MINUTE_MS, requestsPerMinute: 3_000, shape: [0.2, 1, 0.1, 2], kinds: LOAD_KINDS };
  const { records, simulation } = await coldStart({ limits: {}, advertise: false }, { load });
  const waited = records.map(({ finished }) => finished.queueMs).filter((ms) => ms > 0);
  const { learned } = simulation.gateway.targets()[0]!;
  t.diagnostic(
    `${records.length} requests: ${waited.length} waited, ${Math.round(Math.max(0, ...waited))} ms at most; ${JSON.stringify(learned)}`,
  );
  assert.deepEqual([learned.concurrency, learned.limits], [null, []]);
  assert.ok(waited.length <= 0.001 * records.length, `${waited.length}`);
});

const KNEE = 20;

/** The number of running calls at a provider that slows down above its knee, over the time after three minutes. */
async function runningAtKnee(longShare: number): Promise<number[]> {
  const running: number[] = [];
  await observe({
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k' } },
      models: { fast: ['a/m'] },
      policy: { deadline: '60s' },
    },
    providers: { a: { knee: { concurrency: KNEE, refuseAbove: 60 }, msPerThousandInput: 20, firstTokenMs: { p50: 400, p95: 700 } } },
    load: {
      durationMs: 8 * MINUTE_MS,
      requestsPerMinute: 600,
      kinds: [
        { weight: 1 - longShare, model: 'fast', inputTokens: 1_000, outputTokens: { p50: 150, p95: 300 }, stream: 1 },
        { weight: longShare, model: 'fast', inputTokens: 100_000, outputTokens: { p50: 150, p95: 300 }, stream: 1 },
      ],
    },
    everySecond({ providers }, second) {
      if (second > 180) running.push(providers.get('a')!.count.running);
    },
  });
  return running;
}

test('concurrency settles at the knee of a provider that slows down', { timeout: 170_000 }, async (t) => {
  const [short, mixed] = [await runningAtKnee(0), await runningAtKnee(0.1)];
  const [alone, together] = [quantile(short, 0.5), quantile(mixed, 0.5)];
  t.diagnostic(
    `median of running calls ${alone} with prompts of 1k, ${together} with one in ten of 100k; p5 to p95 ${quantile(short, 0.05)} to ${quantile(short, 0.95)}; the knee is at ${KNEE}`,
  );
  await t.test('at 15 to 25 within three minutes', () => assert.ok(alone >= 15 && alone <= 25, `${alone}`));
  await t.test('a mixture of prompts moves it by less than 10 %', () => {
    assert.ok(alone <= 25 && Math.abs(together - alone) < 0.1 * alone, `${alone} and ${together}`);
  });
});
