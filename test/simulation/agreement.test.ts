/**
 * The simulator is only useful as far as it agrees with real sockets. The same scenario, run in real time with a gateway, two Storms and an
 * open-loop load client, and run by the simulator, must have the same results.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { generateLoad, type Load } from '../../src/testing/workload.ts';
import { quantile } from './observed.ts';
import { playReal, playSimulated, type Outcome, type TwinScenario } from './two-worlds.ts';

const SEED = 1;
/** Random variation between runs exceeds the tolerance, so reality is compared with the median of this many simulations. */
const SIMULATED_RUNS = 9;
const SUCCESS_TOLERANCE = 0.01;
const STARTS_TOLERANCE = 0.03;
const WAIT_TOLERANCE = 0.15;
/** The precision of a wait, in milliseconds: timers and sockets of a busy machine. */
const NOISE_MS = 100;
/** A process whose timers are this late, at their 99th percentile, has not run the intended scenario. */
const LATE_MS_MAX = 50;

const kind = { model: 'fast', inputTokens: { p50: 120, p95: 300 }, outputBound: { p50: 40, p95: 100 } };

/** Load waves of up to one and a half times what both providers allow: the queue fills and drains. */
const load: Load = {
  durationMs: 42_000,
  requestsPerMinute: 60 * 21,
  shape: [0.6, 1.6, 0.4, 1.7, 0.3],
  kinds: [
    { ...kind, weight: 1, priority: 'high', deadlineMs: 6_000 },
    { ...kind, weight: 3, priority: 'normal', deadlineMs: { p50: 12_000, p95: 40_000 } },
    { ...kind, weight: 2, priority: 'low', deadlineMs: { p50: 12_000, p95: 40_000 } },
  ],
};

const scenario: TwinScenario = {
  seed: SEED,
  requests: generateLoad(load, createSeededRandom(SEED)),
  providers: {
    a: {
      limits: { requestsPerMinute: 60 * 14, concurrency: 40 },
      enforce: 'bucket',
      burst: 0.02,
      firstTokenMs: { p50: 250, p99: 900 },
      tokensPerSecond: 100,
      fault: { kind: 'server_error', probability: 0.03 },
    },
    b: {
      limits: { requestsPerMinute: 60 * 10, tokensPerMinute: 60 * 8 * 220 },
      enforce: 'bucket',
      burst: 0.03,
      firstTokenMs: { p50: 400, p99: 1_500 },
      tokensPerSecond: 60,
      fault: { kind: 'reset', probability: 0.02 },
    },
  },
  config: { models: { fast: { targets: ['a/m', 'b/m'], patience: '200ms' } }, policy: { queue: { minShare: { low: 0.1, normal: 0.2 } } } },
};

/** The differences beyond the tolerance; empty: they agree. */
function differences(real: Outcome, simulated: Outcome): string[] {
  const found: string[] = [];
  const compare = (what: string, one: number, other: number, toleranceAbsolute: number): void => {
    if (Math.abs(one - other) > toleranceAbsolute) found.push(`${what}: ${one.toFixed(3)} real, ${other.toFixed(3)} simulated`);
  };
  compare('success', real.success / real.requests, simulated.success / simulated.requests, SUCCESS_TOLERANCE);
  for (const [name, starts] of Object.entries(real.starts))
    compare(`starts at ${name}`, starts, simulated.starts[name]!, STARTS_TOLERANCE * simulated.starts[name]!);
  compare('p95 wait', real.waitMs, simulated.waitMs, WAIT_TOLERANCE * simulated.waitMs + NOISE_MS);
  return found;
}

function summary({ success, requests, outcomes, starts, waitMs, waitMsOf, violations }: Outcome): string {
  const waits = Object.entries(waitMsOf).map(([priority, ms]) => `${priority} ${Math.round(ms)}`);
  return `${success} of ${requests} served ${JSON.stringify(outcomes)}, starts ${JSON.stringify(starts)}, p95 wait ${Math.round(waitMs)} ms (${waits.join(', ')}), ${violations} over a limit`;
}

function medianOf(runs: readonly Outcome[]): Outcome {
  const median = (of: (run: Outcome) => number): number => quantile(runs.map(of), 0.5);
  const [first] = runs;
  const starts = Object.keys(first!.starts).map((name) => [name, median((run) => run.starts[name]!)]);
  return {
    ...first!,
    success: median(({ success }) => success),
    starts: Object.fromEntries(starts),
    waitMs: median(({ waitMs }) => waitMs),
  };
}

test('real sockets and the simulator agree', { timeout: 175_000 }, async (t) => {
  const runs: Outcome[] = [];
  for (let i = 0; i < SIMULATED_RUNS; i++) runs.push(await playSimulated({ ...scenario, seed: SEED + i }));
  const simulated = medianOf(runs);
  t.diagnostic(`simulated: ${summary(simulated)}`);
  assert.ok(simulated.waitMs > 1_000, 'the scenario must make callers wait');
  const compare = async (): Promise<{ readonly found: readonly string[]; readonly lateMs: number }> => {
    const real = await playReal(scenario);
    const found = differences(real, simulated);
    t.diagnostic(`real: ${summary(real)}; timers ${real.lateMs.toFixed(1)} ms late at p99`);
    return { found, lateMs: real.lateMs };
  };
  let { found, lateMs } = await compare();
  if (found.length > 0) {
    const why = lateMs > LATE_MS_MAX ? 'this machine was too busy to play in real time' : 'it may be random variation';
    t.diagnostic(`they differ (${found.join('; ')}): ${why}; running once more`);
    ({ found, lateMs } = await compare());
  }
  assert.deepEqual(found, []);
});
