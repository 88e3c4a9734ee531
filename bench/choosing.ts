/**
 * node bench/choosing.ts: compares ways to choose within a tier, in the simulator. Two targets of one tier, ten minutes
 * per case; measures the time to first content and the distribution of calls. The figures of
 * docs/decisions/013-weighted-rotation.md.
 */
import { spawnSync } from 'node:child_process';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { CHOOSERS } from './choosers.ts';
import type { ProviderBehaviour } from '../src/testing/simulated-provider.ts';

const MINUTE_MS = 60_000;
const BAD_FROM_MS = 3 * MINUTE_MS;
const BAD_UNTIL_MS = 7 * MINUTE_MS;

interface Case {
  readonly weights: readonly [number, number];
  readonly requestsPerSecond: number;
  /** Behaviour of the first target from the third to the seventh minute. */
  readonly bad?: ProviderBehaviour;
}

const CASES: Readonly<Record<string, Case>> = {
  'equal, 3 : 1': { weights: [3, 1], requestsPerSecond: 5 },
  'equal, 3 : 1, seldom': { weights: [3, 1], requestsPerSecond: 0.3 },
  'four times slower': { weights: [1, 1], requestsPerSecond: 5, bad: { firstTokenMs: { p50: 1_600, p95: 4_800 } } },
  silent: { weights: [1, 1], requestsPerSecond: 5, bad: { faults: [{ kind: 'silence' }] } },
  'fails 30 %': { weights: [1, 1], requestsPerSecond: 5, bad: { faults: [{ kind: 'server_error', probability: 0.3 }] } },
  'slow above 5 concurrent calls': { weights: [1, 1], requestsPerSecond: 10, bad: { knee: { concurrency: 5 } } },
};

const BREAKWATER = 'turns (Breakwater)';
const own = fileURLToPath(import.meta.url);
if (process.env['CHOOSER'] === undefined) compareAll();
else await measure(process.env['CHOOSER']);

/** Modules are loaded once per process, so each method runs in its own process. */
function compareAll(): void {
  process.stdout.write('| way | case | first target | calls per request | first content p50 | p95 |\n|---|---|---|---|---|---|\n');
  for (const name of [...Object.keys(CHOOSERS), BREAKWATER])
    spawnSync(process.execPath, [own], { env: { ...process.env, CHOOSER: name }, stdio: 'inherit' });
}

async function measure(way: string): Promise<void> {
  if (way !== BREAKWATER) {
    const home = new URL('../src/pipeline/admission/affinity.ts', import.meta.url).href;
    registerHooks({
      load(url, context, nextLoad) {
        const found = nextLoad(url, context);
        if (url !== home) return found;
        const source = String(found.source).replace(
          "import { chooseByAffinity, chooseByWeight } from '../policy/selection/selection.ts';",
          "import { chooseByAffinity } from '../policy/selection/selection.ts';\nimport { chooseByWeight } from '../../bench/choosers.ts';",
        );
        return { ...found, source };
      },
    });
  }
  const { createSimulation } = await import('../src/testing/simulation.ts');
  const { generateLoad } = await import('../src/testing/workload.ts');
  const { createSeededRandom } = await import('../src/testing/seeded-random.ts');
  for (const [name, { weights, requestsPerSecond, bad }] of Object.entries(CASES)) {
    const provider = (host: string) => ({ protocol: 'openai' as const, baseUrl: `http://${host}.invalid/v1`, apiKey: 'k' });
    const [a, b] = weights;
    const models = {
      fast: {
        targets: [
          [
            { target: 'a/m', weight: a },
            { target: 'b/m', weight: b },
          ],
        ],
      },
    };
    const asked = { a: 0, b: 0 };
    const simulation = await createSimulation({
      config: {
        providers: { a: provider('a'), b: provider('b') },
        models,
        policy: { breaker: { failureRatio: 1, consecutiveFailures: 1_000 } },
      },
      onCall: (host, { at }) => void (isFaulty(bad, at) && asked[host as 'a' | 'b']++),
    });
    const first = simulation.providers.get('a')!;
    const usual = first.behaviour;
    if (bad !== undefined) {
      simulation.clock.schedule(BAD_FROM_MS, () => (first.behaviour = { ...usual, ...bad }));
      simulation.clock.schedule(BAD_UNTIL_MS, () => (first.behaviour = usual));
    }
    const waits: number[] = [];
    let requests = 0;
    simulation.events.on('finished', ({ at, durationMs, firstContentMs }) => {
      if (!isFaulty(bad, at - durationMs)) return;
      requests++;
      waits.push(firstContentMs ?? durationMs);
    });
    const load = {
      durationMs: 10 * MINUTE_MS,
      requestsPerMinute: requestsPerSecond * 60,
      kinds: [{ model: 'fast', stream: 1, inputTokens: 200, outputTokens: { p50: 80, p95: 200 }, deadlineMs: 60_000 }],
    };
    await simulation.play(generateLoad(load, createSeededRandom(7)));
    await simulation.close();
    waits.sort((x, y) => x - y);
    const quantile = (share: number): string => `${Math.round(waits[Math.floor(share * (waits.length - 1))]!)} ms`;
    const total = asked.a + asked.b;
    process.stdout.write(
      `| ${way} | ${name} | ${((100 * asked.a) / total).toFixed(1)} % | ${(total / requests).toFixed(3)} | ${quantile(0.5)} | ${quantile(0.95)} |\n`,
    );
  }
}

/** Whether the time is within the faulty period, or any time if there is none. */
function isFaulty(bad: ProviderBehaviour | undefined, at: number): boolean {
  return bad === undefined || (at >= BAD_FROM_MS && at < BAD_UNTIL_MS);
}
