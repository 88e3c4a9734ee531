/**
 * What the simulator tells is worth what it has in common with real sockets: the same scenario, played by a gateway, two Storms
 * and an open-loop load client in real time, and by the simulator, has to come out alike.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { generateLoad, type Load } from '../../src/testing/workload.ts';
import { quantile } from './observed.ts';
import { playReal, playSimulated, type Outcome, type TwinScenario } from './two-worlds.ts';

const SEED = 1;
/** Chance moves a run by more than a simulator has to be trusted with: the median of so many is what reality is held against. */
const SIMULATED_RUNS = 9;
const SUCCESS_TOLERANCE = 0.01;
const STARTS_TOLERANCE = 0.03;
const WAIT_TOLERANCE = 0.15;
/** A wait is not told more exactly than so, in milliseconds: timers and sockets of a busy machine. */
const NOISE_MS = 100;
/** A process whose timers come so late, at their 99th percentile, has not played the scenario that was meant. */
const LATE_MS_MAX = 50;

const kind = { model: 'fast', inputTokens: { p50: 120, p95: 300 }, outputBound: { p50: 40, p95: 100 } };

/** Waves that swell to one and a half times of what both providers allow, and ebb: the queue fills and drains. */
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

/** In what the two differ by more than they may; empty: they agree. */
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

function told({ success, requests, outcomes, starts, waitMs, waitMsOf, violations }: Outcome): string {
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
  t.diagnostic(`simulated: ${told(simulated)}`);
  assert.ok(simulated.waitMs > 1_000, 'the scenario must make callers wait');
  const compare = async (): Promise<{ readonly found: readonly string[]; readonly lateMs: number }> => {
    const real = await playReal(scenario);
    const found = differences(real, simulated);
    t.diagnostic(`real: ${told(real)}; timers ${real.lateMs.toFixed(1)} ms late at p99`);
    return { found, lateMs: real.lateMs };
  };
  let { found, lateMs } = await compare();
  if (found.length > 0) {
    const why = lateMs > LATE_MS_MAX ? 'this machine was too busy to play in real time' : 'it may have been chance';
    t.diagnostic(`they differ (${found.join('; ')}): ${why}, once more`);
    ({ found, lateMs } = await compare());
  }
  assert.deepEqual(found, []);
});
