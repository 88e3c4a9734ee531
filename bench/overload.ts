/**
 * Goodput under overload: demand is three times the capacity of two providers, with mixed priorities and deadlines, on
 * virtual time. The figures come from the providers' admissions and the callers' results, so they are the same on every
 * machine. Part of `npm run bench`; alone it prints its rows as JSON. `--quick`: four minutes of virtual time instead
 * of twelve.
 */
import { parseArgs } from 'node:util';
import type { EventOf } from '../src/core/events.ts';
import { createSeededRandom } from '../src/testing/seeded-random.ts';
import { createSimulation } from '../src/testing/simulation.ts';
import { generateLoad } from '../src/testing/workload.ts';
import type { Load } from '../src/testing/workload.ts';
import type { Rows } from './alone.ts';

type Enforce = 'bucket' | 'sliding';

const MINUTE_MS = 60_000;
const LIMITS = { a: { requestsPerMinute: 120, tokensPerMinute: 150_000 }, b: { requestsPerMinute: 60, tokensPerMinute: 60_000 } };
const STARTS_PER_MINUTE = LIMITS.a.requestsPerMinute + LIMITS.b.requestsPerMinute;
/** Buckets start full; measurement starts once they are drained. */
const WARM_MS = MINUTE_MS;

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const durationMs = (options.quick ? 4 : 12) * MINUTE_MS;
const rows: Rows = { bucket: await overload('bucket'), sliding: await overload('sliding') };
process.stdout.write(JSON.stringify(rows));

async function overload(enforce: Enforce): Promise<Rows[string]> {
  const seen = { starts: 0, overLimit: 0, good: 0 };
  const waits: number[] = [];
  const simulation = await createSimulation({
    config: {
      providers: { a: provider('a', enforce), b: provider('b', enforce) },
      models: { fast: { targets: [['a/m', 'b/m']] } },
      policy: { queue: { minShare: { low: 0.05, normal: 0.2 } }, maxAttempts: 2 },
    },
    providers: { a: { limits: { ...LIMITS.a, enforce } }, b: { limits: { ...LIMITS.b, enforce } } },
    onCall: (_, { fate, at }) => {
      if (fate !== null) seen.overLimit++;
      else if (isMeasured(at)) seen.starts++;
    },
  });
  const open = new Map<string, { readonly received: EventOf<'received'>; startedAt: number | null }>();
  simulation.events.on('received', (received) => void open.set(received.requestId, { received, startedAt: null }));
  simulation.events.on('attempt', ({ requestId, at }) => void (open.get(requestId)!.startedAt = at));
  simulation.events.on('finished', ({ requestId, outcome, queueMs }) => {
    const { received, startedAt } = open.get(requestId)!;
    open.delete(requestId);
    if (startedAt === null || !isMeasured(startedAt)) return;
    if (outcome === 'success') seen.good++;
    if (received.priority === 'high' && received.at >= WARM_MS) waits.push(queueMs);
  });
  await simulation.play(generateLoad(load(), createSeededRandom(1.25)));
  await simulation.close();
  const capacity = (STARTS_PER_MINUTE * (durationMs - WARM_MS)) / MINUTE_MS;
  return {
    'used %': (100 * seen.starts) / capacity,
    'goodput %': (100 * seen.good) / capacity,
    'over limit': seen.overLimit,
    'high p99 ms': waits.toSorted((a, b) => a - b)[Math.ceil(0.99 * waits.length) - 1] ?? Number.NaN,
  };
}

function isMeasured(at: number): boolean {
  return at >= WARM_MS && at < durationMs;
}

function provider(name: 'a' | 'b', enforce: Enforce) {
  return { protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: 'k', limits: { ...LIMITS[name], window: enforce } };
}

/** `high` uses half of the capacity. */
function load(): Load {
  const kind = { model: 'fast', inputTokens: { p50: 150, p95: 400 }, outputBound: 200, outputTokens: { p50: 60, p95: 150 } };
  return {
    durationMs,
    requestsPerMinute: STARTS_PER_MINUTE * 3,
    kinds: [
      { ...kind, weight: 1, priority: 'high', deadlineMs: { p50: 15_000, p95: 60_000 } },
      { ...kind, weight: 3, priority: 'normal', deadlineMs: { p50: 30_000, p95: 120_000 } },
      { ...kind, weight: 2, priority: 'low', deadlineMs: { p50: 60_000, p95: 300_000 } },
    ],
  };
}
