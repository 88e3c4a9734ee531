import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import type { BreakwaterEvent } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { attempt, attemptEnd, failedAttempt, finished, received } from './events.fixture.ts';
import { createMetrics, unnamedTargetsMax, type MetricsOptions } from './metrics.ts';
import { labelValuesMax, seriesMax } from './series.ts';
import type { Snapshot } from './snapshot.ts';

function setUp(change: Partial<MetricsOptions> = {}) {
  const clock = createManualClock({ epochMs: 1_700_000_000_000 });
  const metrics = createMetrics({ clock, dropped: { logLines: () => 3, requestRecords: () => 0 }, ...change });
  return {
    metrics,
    record: (...events: BreakwaterEvent[]) => events.forEach((event) => metrics.record(event)),
    /** The exposed samples: `name{labels}` to value. */
    scrape: async (): Promise<Map<string, number>> => {
      const lines = (await metrics.scrape()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
    },
  };
}

test('requests are counted by model, client, priority, outcome and code', async () => {
  const { record, scrape } = setUp();
  record(finished(), finished(), finished({ outcome: 'refused', status: 429, code: 'rate_limited', priority: 'low' }));
  const samples = await scrape();
  assert.equal(samples.get('breakwater_requests_total{model="fast",client="web",priority="normal",outcome="success",code="none"}'), 2);
  assert.equal(samples.get('breakwater_requests_total{model="fast",client="web",priority="low",outcome="refused",code="rate_limited"}'), 1);
});

test('attempts are counted by target, verdict and reason, and their tokens by kind', async () => {
  const { record, scrape } = setUp();
  record(attemptEnd(), failedAttempt('slow down'));
  const samples = await scrape();
  assert.equal(samples.get('breakwater_attempts_total{target="openai/gpt",verdict="success",reason="none"}'), 1);
  assert.equal(samples.get('breakwater_attempts_total{target="openai/gpt",verdict="switch",reason="rate_limited"}'), 1);
  assert.equal(samples.get('breakwater_tokens_total{target="openai/gpt",kind="input"}'), 240);
  assert.equal(samples.get('breakwater_tokens_total{target="openai/gpt",kind="cached_input"}'), 40);
  assert.equal(samples.get('breakwater_tokens_total{target="openai/gpt",kind="output"}'), 60);
});

test('responses that failed a quality check are counted by target and check', async () => {
  const { record, scrape } = setUp();
  record(attemptEnd(), attemptEnd({ quality: 'short' }), attemptEnd({ quality: 'short' }), attemptEnd({ quality: 'empty' }));
  const samples = await scrape();
  assert.equal(samples.get('breakwater_failed_quality_checks_total{target="openai/gpt",quality="short"}'), 2);
  assert.equal(samples.get('breakwater_failed_quality_checks_total{target="openai/gpt",quality="empty"}'), 1);
});

test('wasted tokens and cost are included in the totals and counted separately', async () => {
  const { record, scrape } = setUp();
  const usage = { inputTokens: 200, cachedInputTokens: 0, outputTokens: 20 };
  record(finished({ costUsd: 0.004, wasted: { usage, costUsd: 0.003 } }), finished(), finished({ wasted: { usage, costUsd: null } }));
  const samples = await scrape();
  assert.equal(samples.get('breakwater_wasted_tokens_total{model="fast",kind="input"}'), 400);
  assert.equal(samples.get('breakwater_wasted_tokens_total{model="fast",kind="output"}'), 40);
  assert.equal(samples.get('breakwater_wasted_cost_usd_total{model="fast",client="web"}'), 0.003);
  assert.equal(samples.get('breakwater_cost_usd_total{model="fast",client="web"}'), 0.008);
});

test('durations are histograms in seconds whose buckets are cumulative and reach ten minutes', async () => {
  const { record, scrape } = setUp();
  record(finished({ durationMs: 40 }), finished({ durationMs: 400_000 }), finished({ durationMs: 700_000 }));
  const samples = await scrape();
  const bucket = (le: string) => samples.get(`breakwater_request_duration_seconds_bucket{model="fast",le="${le}"}`);
  assert.deepEqual([bucket('0.025'), bucket('0.05'), bucket('300'), bucket('600'), bucket('+Inf')], [0, 1, 1, 2, 3]);
  assert.equal(samples.get('breakwater_request_duration_seconds_count{model="fast"}'), 3);
  assert.ok(Math.abs(samples.get('breakwater_request_duration_seconds_sum{model="fast"}')! - 1_100.04) < 1e-6);
});

test('an invalid duration is not counted', async () => {
  const { record, scrape } = setUp();
  record(finished({ queueMs: Number.NaN }), finished({ queueMs: -1 }), finished({ queueMs: Infinity }));
  assert.equal((await scrape()).has('breakwater_queue_wait_seconds_count{priority="normal"}'), false);
});

test('names that are not configured, or too many, are counted as other', async () => {
  const { record, scrape } = setUp({ isConfiguredModel: (model) => model === 'fast' });
  for (let i = 0; i < labelValuesMax + 50; i++) record(finished({ model: `made-up-${i}`, client: `client-${i}` }));
  record(finished());
  const lines = [...(await scrape()).keys()].filter((name) => name.startsWith('breakwater_requests_total'));
  assert.equal(lines.length, labelValuesMax + 2);
  assert.equal(lines.filter((line) => line.includes('model="other",client="other"')).length, 1);
  assert.equal(lines.filter((line) => line.includes('model="fast",client="other"')).length, 1);
});

test('a scrape before the engine is complete has the gauges that need no snapshot', async () => {
  const { scrape } = setUp({ snapshot: () => null });
  const samples = await scrape();
  assert.equal(samples.get('breakwater_in_flight'), 0);
  assert.equal(
    [...samples.keys()].some((name) => name.startsWith('breakwater_queue_length')),
    false,
  );
});

test('targets named only by callers do not use up the labels of configured ones', async () => {
  const { record, scrape } = setUp({ isConfiguredTarget: (target) => target === 'a/configured' });
  for (let i = 0; i < 30_000; i++) record(attemptEnd({ target: `a/made-up-${i}` }));
  record(attemptEnd({ target: 'a/configured' }));
  const lines = [...(await scrape()).keys()].filter((name) => name.startsWith('breakwater_attempts_total'));
  assert.equal(lines.length, unnamedTargetsMax + 2);
  assert.equal(lines.filter((line) => line.includes('target="a/configured"')).length, 1);
});

test('label combinations are bounded too, and none is lost', async () => {
  const { record, scrape } = setUp();
  for (let i = 0; i < 100; i++) for (let j = 0; j < 100; j++) record(finished({ model: `m${i}`, client: `c${j}` }));
  const counts = [...(await scrape())].filter(([name]) => name.startsWith('breakwater_requests_total'));
  assert.equal(counts.length, seriesMax + 1);
  assert.equal(
    counts.reduce((sum, [, value]) => sum + value, 0),
    10_000,
  );
});

test('label values are escaped', async () => {
  const { record, scrape } = setUp();
  record(finished({ client: 'a "b"\\\n' }));
  assert.ok(
    (await scrape()).has(
      String.raw`breakwater_requests_total{model="fast",client="a \"b\"\\\n",priority="normal",outcome="success",code="none"}`,
    ),
  );
});

test('without a snapshot in-flight requests and breaker states are derived from events', async () => {
  const { record, scrape } = setUp();
  record(received(), received({ requestId: 'req-2' }), attempt(), finished({ requestId: 'req-2' }));
  record({ type: 'breaker', at: 0, target: 'a/b', from: 'closed', to: 'open', openForMs: 5_000 });
  const samples = await scrape();
  assert.equal(samples.get('breakwater_in_flight'), 1);
  assert.equal(samples.get('breakwater_attempts_in_flight'), 1);
  assert.equal(samples.get('breakwater_breaker_state{target="a/b"}'), 2);
  assert.equal(samples.get('breakwater_breaker_changes_total{target="a/b",to="open"}'), 1);
});

test('the snapshot is read once per scrape and exposed', async () => {
  let askedCount = 0;
  const snapshot = (): Snapshot => {
    askedCount++;
    return {
      queueLength: { high: 0, normal: 7, low: 0, job: 0 },
      inFlight: 9,
      heldBytes: 1_024,
      resources: [
        { id: 'openai#1:requestsPerMinute', kind: 'requests', limit: 600, available: 12.5 },
        { id: 'openai/gpt:cooldown', kind: 'cooldown', limit: null, available: 0 },
      ],
      estimates: [{ target: 'openai/gpt', inputFactor: 1.25, cachedShare: 0.5 }],
      engines: [{ target: 'offline/chat', loaded: true, heapBytes: 1_000, loadedBytes: 5_000 }],
      breakers: [{ target: 'openai/gpt', state: 'half-open' }],
    };
  };
  const { scrape } = setUp({ snapshot });
  await scrape();
  const samples = await scrape();
  assert.equal(askedCount, 2);
  assert.equal(samples.get('breakwater_queue_length{priority="normal"}'), 7);
  assert.equal(samples.get('breakwater_in_flight'), 9);
  assert.equal(samples.get('breakwater_held_bytes'), 1_024);
  assert.equal(samples.get('breakwater_resource_limit{resource="openai#1:requestsPerMinute",kind="requests"}'), 600);
  assert.equal(samples.get('breakwater_resource_available{resource="openai#1:requestsPerMinute",kind="requests"}'), 12.5);
  assert.equal(samples.has('breakwater_resource_limit{resource="openai/gpt:cooldown",kind="cooldown"}'), false);
  assert.equal(samples.get('breakwater_breaker_state{target="openai/gpt"}'), 1);
  assert.equal(samples.get('breakwater_input_estimate_factor{target="openai/gpt"}'), 1.25);
  assert.equal(samples.get('breakwater_cached_input_share{target="openai/gpt"}'), 0.5);
  assert.equal(samples.get('breakwater_local_engine_loaded{target="offline/chat"}'), 1);
  assert.equal(samples.get('breakwater_local_engine_memory_bytes{target="offline/chat",part="loaded"}'), 5_000);
});

test('lost log lines and the use of the process are exposed', async () => {
  const { scrape } = setUp();
  const samples = await scrape();
  assert.equal(samples.get('breakwater_log_lines_dropped_total'), 3);
  assert.ok(samples.get('process_resident_memory_bytes')! > 1e6);
  assert.ok(samples.get('process_cpu_user_seconds_total')! > 0);
});

test('two sets of metrics in one process are independent', async () => {
  const one = setUp();
  const other = setUp();
  one.record(finished());
  assert.equal((await other.scrape()).has('breakwater_queue_wait_seconds_count{priority="normal"}'), false);
});

test('parallel attempts and their wins are counted by target', async () => {
  const { record, scrape } = setUp();
  const committed = { type: 'committed', requestId: 'req-1', at: 1, target: 'openai/gpt', attempt: 2 } as const;
  record(attempt(), attempt({ attempt: 2, race: 'hedge' }), { ...committed, race: 'hedge' });
  record(attempt(), attempt({ attempt: 2, race: 'hedge' }), { ...committed, attempt: 1, race: null });
  record(attempt({ probe: true }), attempt({ attempt: 2, race: 'probe' }), { ...committed, race: 'probe' });
  const samples = await scrape();
  assert.equal(samples.get('breakwater_hedges_total{target="openai/gpt",kind="hedge"}'), 2);
  assert.equal(samples.get('breakwater_hedges_won_total{target="openai/gpt",kind="hedge"}'), 1);
  assert.equal(samples.get('breakwater_hedges_total{target="openai/gpt",kind="probe"}'), 1);
  assert.equal(samples.get('breakwater_hedges_won_total{target="openai/gpt",kind="probe"}'), 1);
});

test('a scrape after a failed one is complete', async () => {
  let failures = 1;
  const metrics = createMetrics({
    clock: createManualClock(),
    dropped: { logLines: () => 0, requestRecords: () => 0 },
    loadRegistry() {
      if (failures-- > 0) throw new Error('EMFILE: too many open files');
      return Registry;
    },
  });
  await assert.rejects(metrics.scrape(), /EMFILE/);
  assert.match(await metrics.scrape(), /^breakwater_requests_total|^# HELP breakwater_/m);
});

test('gauges list all configured targets, and of those named only by callers as many as counters do', async () => {
  const configured = Array.from({ length: 300 }, (_, i) => `a/configured-${i}`);
  const callers = Array.from({ length: 2_000 }, (_, i) => `a/made-up-${i}`);
  const targets = [...configured, ...callers];
  const snapshot = (): Snapshot => ({
    queueLength: { high: 0, normal: 0, low: 0, job: 0 },
    inFlight: 0,
    heldBytes: 0,
    resources: targets.map((target) => ({
      id: `${target}:learned:concurrency`,
      subject: target,
      kind: 'concurrency',
      limit: 1,
      available: 1,
    })),
    estimates: targets.map((target) => ({ target, inputFactor: 1, cachedShare: 0 })),
    engines: [],
    breakers: targets.map((target) => ({ target, state: 'open' })),
  });
  const { record, scrape } = setUp({ snapshot, isConfiguredTarget: (target) => target.startsWith('a/configured') });
  for (const target of callers) record(attemptEnd({ target }));
  const names = [...(await scrape()).keys()];
  for (const gauge of ['breaker_state', 'input_estimate_factor', 'resource_limit']) {
    const lines = names.filter((name) => name.startsWith(`breakwater_${gauge}{`));
    assert.equal(lines.length, configured.length + unnamedTargetsMax, gauge);
  }
  const counted = names.filter((name) => name.startsWith('breakwater_attempts_total{target="a/made-up'));
  const shown = names.filter((name) => name.startsWith('breakwater_breaker_state{target="a/made-up'));
  assert.deepEqual(
    shown.map((name) => /target="([^"]+)"/.exec(name)![1]),
    counted.map((name) => /target="([^"]+)"/.exec(name)![1]),
  );
});
