/**
 * Three times more is asked than two providers allow. What the scheduler does not reach yet is `todo` and prints where it stands.
 * `MINUTES=60` plays a whole hour (default 12).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRIORITIES } from '../../src/core/request.ts';
import { observe, ofPriority, percent, quantile, refusalsOf, startsOf, type Observed, type Told } from './observed.ts';

const minutes = Number(process.env['MINUTES'] ?? 12);
const durationMs = minutes * 60_000;
const LIMITS = { a: { requestsPerMinute: 120, tokensPerMinute: 150_000 }, b: { requestsPerMinute: 60, tokensPerMinute: 60_000 } };
const CAPACITY_PER_MINUTE = LIMITS.a.requestsPerMinute + LIMITS.b.requestsPerMinute;
const LOW_SHARE = 0.05;
/** Of the provider that refills more slowly. */
const REFILL_MS = 60_000 / LIMITS.b.requestsPerMinute;
/** The buckets are full at first; what is measured begins when they are not. */
const WARM_MS = 60_000;

function overload(enforce: 'bucket' | 'sliding'): Promise<Observed> {
  const provider = (name: 'a' | 'b') => ({
    protocol: 'openai' as const,
    baseUrl: `http://${name}.invalid/v1`,
    apiKey: 'k',
    limits: { ...LIMITS[name], window: enforce },
  });
  const kind = { model: 'fast', inputTokens: { p50: 150, p95: 400 }, outputBound: 200, outputTokens: { p50: 60, p95: 150 } };
  return observe({
    config: {
      providers: { a: provider('a'), b: provider('b') },
      models: { fast: { targets: [['a/m', 'b/m']] } },
      policy: { queue: { minShare: { low: LOW_SHARE, normal: 0.2 } }, maxAttempts: 2 },
    },
    providers: { a: { limits: { ...LIMITS.a, enforce } }, b: { limits: { ...LIMITS.b, enforce } } },
    load: {
      durationMs,
      requestsPerMinute: CAPACITY_PER_MINUTE * 3,
      kinds: [
        { ...kind, weight: 1, priority: 'high', deadlineMs: { p50: 15_000, p95: 60_000 } },
        { ...kind, weight: 3, priority: 'normal', deadlineMs: { p50: 30_000, p95: 120_000 } },
        { ...kind, weight: 2, priority: 'low', deadlineMs: { p50: 60_000, p95: 300_000 } },
      ],
    },
  });
}

/** Refused at arrival, although one of its class that came later with a later deadline started in time for it. */
function wrongRefusals(told: readonly Told[]): number {
  let wrong = 0;
  for (const priority of PRIORITIES) {
    const ranked = ofPriority(told, priority).toSorted((a, b) => a.received.at - b.received.at);
    ranked.forEach((refused, i) => {
      if (refused.finished.outcome !== 'refused' || refused.finished.code === 'deadline_exceeded') return;
      const deadline = refused.received.at + refused.received.deadlineMs;
      for (const other of ranked.slice(i + 1)) {
        if (other.received.at > deadline) return;
        const isLater = other.received.at + other.received.deadlineMs > deadline;
        if (!isLater || other.received.inputTokens < refused.received.inputTokens || (other.startedAt[0] ?? Infinity) > deadline) continue;
        wrong++;
        return;
      }
    });
  }
  return wrong;
}

for (const enforce of ['bucket', 'sliding'] as const) {
  test(`overload at three times the capacity, ${enforce}`, { timeout: 170_000 }, async (t) => {
    const { told, calls, breakers } = await overload(enforce);
    const starts = startsOf(calls, WARM_MS, durationMs).length;
    const capacity = (CAPACITY_PER_MINUTE * (durationMs - WARM_MS)) / 60_000;
    const waits = ofPriority(told, 'high')
      .filter(({ startedAt }) => startedAt.length > 0)
      .map(({ finished }) => finished.queueMs);
    const lowStarts = ofPriority(told, 'low').reduce((sum, { startedAt }) => sum + startedAt.length, 0);
    const allStarts = told.reduce((sum, { startedAt }) => sum + startedAt.length, 0);
    const refused = told.filter(({ finished }) => finished.outcome === 'refused');
    const atOnce = refused.filter(({ finished }) => finished.durationMs < 1);
    const wrong = wrongRefusals(told);
    const inVain = refused.filter(({ finished }) => finished.durationMs >= 1).length;
    const served = told.filter(({ finished }) => finished.outcome === 'success').length;
    t.diagnostic(
      `${minutes} min, ${told.length} requests: ${percent(starts, capacity)} of the capacity used; high waits p99 ${Math.round(quantile(waits, 0.99))} ms of ${REFILL_MS + 50}; low has ${percent(lowStarts, allStarts)} of starts; ` +
        `${atOnce.length} refused at once, ${wrong} wrongly; ${inVain} waited in vain; ${percent(served, allStarts)} of starts end well; breakers opened ${breakers.filter(({ to }) => to === 'open').length} times`,
    );
    await t.test("no limit is exceeded, by the provider's own count", () => assert.equal(refusalsOf(calls, 0, Infinity).length, 0));
    await t.test('at least 95 % of the capacity is used', () => assert.ok(starts >= 0.95 * capacity, percent(starts, capacity)));
    await t.test('low has its share of starts', () => assert.ok(lowStarts >= LOW_SHARE * allStarts * 0.95, percent(lowStarts, allStarts)));
    await t.test('no breaker of a healthy target opens', () => assert.equal(breakers.length, 0));
    await t.test('what is started ends well: at least 95 % of starts', { todo: 'starts what can not end in time' }, () => {
      assert.ok(served >= 0.95 * allStarts, percent(served, allStarts));
    });
    await t.test('high waits one refill interval and 50 ms at most, at p99', { todo: 'not reached yet' }, () => {
      assert.ok(quantile(waits, 0.99) <= REFILL_MS + 50, `${quantile(waits, 0.99)}`);
    });
    await t.test('at most 1 % of refusals prove wrong', { todo: '1.05 % in twelve minutes' }, () => {
      assert.ok(wrong <= refused.length / 100, `${wrong} of ${refused.length}`);
    });
    await t.test(
      'whoever can not be served is told at once: at most 1 % wait in vain',
      { todo: 'feasibility does not know the queue' },
      () => {
        assert.ok(inVain <= told.length / 100, percent(inVain, told.length));
      },
    );
  });
}
