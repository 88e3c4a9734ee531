/** Runs one seed from start to end, and reports what was wrong in it. */
import type { Random } from '../../src/core/random.ts';
import { createFaultyDisk, openFaultyStore } from '../../src/testing/faulty-store.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { SimulatedCaller } from '../../src/testing/simulated-caller.ts';
import { createSimulation } from '../../src/testing/simulation.ts';
import { generateLoad } from '../../src/testing/workload.ts';
import { Invariants } from './invariants.ts';
import { MIN_SHARE, sceneOf } from './scene.ts';
import { faultsOfScene } from './set-scenes.ts';

export interface SeedReport {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly requests: number;
  /** Requests by status as their callers saw it; `left` where they did not wait. */
  readonly seen: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly cpuMs: number;
}

/** Everything taken is back after this long: buckets and windows take a minute, breakers may need a probe that never comes. */
const REST_MS = 130_000;

export async function runSeed(seed: number): Promise<SeedReport> {
  const cpu = process.threadCpuUsage();
  if (seed < 0) return { seed, faults: await faultsOfScene(seed), requests: 0, seen: {}, calls: 0, cpuMs: 0 };
  const scene = sceneOf(seed);
  const clock = createManualClock();
  const poison = scene.poison === null ? [] : generateLoad(scene.poison, createSeededRandom(seed + 0.65));
  const requests = [...generateLoad(scene.load, createSeededRandom(seed + 0.25)), ...poison.map((one) => ({ ...one, id: `p${one.id}` }))];
  const seen: Record<string, number> = {};
  const faults: string[] = [];
  let invariants: Invariants | null = null;
  let calls = 0;
  try {
    const disk = createFaultyDisk({ clock, random: createSeededRandom(seed + 0.75) });
    const simulation = await createSimulation({
      seed,
      clock,
      config: scene.config,
      providers: scene.providers,
      ...(scene.storeFaults === null ? {} : { store: await openFaultyStore({ clock, disk }) }),
      onCall: (provider, call) => {
        calls++;
        invariants?.onCall(provider, call);
      },
    });
    // Opening takes time on a slow disk, and virtual time does not pass before there is a simulation.
    disk.setFaults(scene.storeFaults ?? {});
    const { policy } = simulation.gateway.config;
    invariants = new Invariants(simulation, {
      maxAttempts: policy.maxAttempts,
      probes: policy.breaker.probes,
      retryRatio: policy.retry.budget.ratio,
      retryPerSecond: policy.retry.budget.minPerSecond,
      hedgeBudget: policy.hedge.enabled ? policy.hedge.budget : 0,
      minShare: MIN_SHARE,
      openForMs: policy.breaker.openFor,
      unknown: scene.unknown,
    });
    const chance = createSeededRandom(seed + 0.125);
    await simulation.play(requests, (caller) => {
      const what = caller.responseEnd === 'left' ? 'left' : String(caller.status);
      seen[what] = (seen[what] ?? 0) + 1;
      invariants!.onOver(caller);
      if (chance.next() < scene.jostling) pick(simulation.callers, chance)?.leave();
    });
    await simulation.pass(REST_MS);
    invariants.checkRest();
    await closeWith(clock, simulation.close());
    if (clock.pendingTimers > 0) faults.push(`permits: ${clock.pendingTimers} timers are left after the end`);
  } catch (error) {
    faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  faults.unshift(...(invariants?.faults ?? []));
  const { user, system } = process.threadCpuUsage(cpu);
  return { seed, faults, requests: requests.length, seen, calls, cpuMs: (user + system) / 1000 };
}

/** The command that runs it again. */
export function commandOf(seed: number): string {
  return `SEED=${seed} npm test -- test/simulation/seeds.test.ts`;
}

function pick(callers: ReadonlySet<SimulatedCaller>, chance: Random): SimulatedCaller | undefined {
  return [...callers][Math.floor(chance.next() * callers.size)];
}

/** A store that is slow to close needs time to pass. */
async function closeWith(clock: ManualClock, closing: Promise<void>): Promise<void> {
  let closed = false;
  void closing.then(() => (closed = true));
  await clock.runUntil(() => closed, clock.now() + 600_000);
  await closing;
}
