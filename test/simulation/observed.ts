/** Runs one scenario, and returns what its callers, the gateway and the providers observed. */
import type { EventOf } from '../../src/core/events.ts';
import type { Priority } from '../../src/core/request.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { ProviderBehaviour, ProviderCall } from '../../src/testing/simulated-provider.ts';
import { createSimulation, type Simulation } from '../../src/testing/simulation.ts';
import { generateLoad, type Load } from '../../src/testing/workload.ts';

/** One request as seen by the gateway. */
export interface RequestRecord {
  readonly received: EventOf<'received'>;
  readonly startedAt: readonly number[];
  readonly finished: EventOf<'finished'>;
}

export interface SeenCall extends ProviderCall {
  readonly provider: string;
}

export interface Observed {
  readonly records: readonly RequestRecord[];
  readonly calls: readonly SeenCall[];
  readonly breakers: readonly EventOf<'breaker'>[];
  readonly cooldowns: readonly EventOf<'cooldown'>[];
  /** Attempts that were sent beside another one. */
  readonly beside: readonly EventOf<'attempt'>[];
  readonly simulation: Simulation;
}

export interface ScenarioParts {
  readonly config: ConfigInput;
  readonly providers: Readonly<Record<string, ProviderBehaviour>>;
  readonly load: Load;
  readonly seed?: number;
  /** Called at every whole second of the clock. */
  readonly everySecond?: (simulation: Simulation, second: number) => void;
}

export async function observe({ config, providers, load, seed = 1, everySecond }: ScenarioParts): Promise<Observed> {
  const calls: SeenCall[] = [];
  const onCall = (provider: string, call: ProviderCall): void => void calls.push({ ...call, provider });
  const simulation = await createSimulation({ config, providers, seed, onCall });
  const records: RequestRecord[] = [];
  const open = new Map<string, { received: EventOf<'received'>; startedAt: number[] }>();
  const breakers: EventOf<'breaker'>[] = [];
  simulation.events.on('received', (received) => void open.set(received.requestId, { received, startedAt: [] }));
  const beside: EventOf<'attempt'>[] = [];
  simulation.events.on('attempt', (event) => {
    open.get(event.requestId)!.startedAt.push(event.at);
    if (event.race !== null) beside.push(event);
  });
  simulation.events.on('breaker', (event) => void breakers.push(event));
  const cooldowns: EventOf<'cooldown'>[] = [];
  simulation.events.on('cooldown', (event) => void cooldowns.push(event));
  simulation.events.on('finished', (finished) => {
    records.push({ ...open.get(finished.requestId)!, finished });
    open.delete(finished.requestId);
  });
  if (everySecond !== undefined) {
    for (let second = 1; second * 1000 <= load.durationMs; second++) {
      simulation.clock.schedule(second * 1000, () => everySecond(simulation, second));
    }
  }
  await simulation.play(generateLoad(load, createSeededRandom(seed + 0.25)));
  await simulation.close();
  return { records, calls, breakers, cooldowns, beside, simulation };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Calls that a provider admitted within a period. */
export function startsOf(calls: readonly SeenCall[], fromMs: number, untilMs: number): SeenCall[] {
  return calls.filter(({ fate, at }) => !isRefusal(fate) && at >= fromMs && at < untilMs);
}

export function refusalsOf(calls: readonly SeenCall[], fromMs: number, untilMs: number): SeenCall[] {
  return calls.filter(({ fate, at }) => isRefusal(fate) && at >= fromMs && at < untilMs);
}

function isRefusal(fate: string | null): boolean {
  return fate !== null && (/PerMinute$|PerSecond$|PerDay$/.test(fate) || fate === 'concurrency');
}

export function ofPriority(records: readonly RequestRecord[], priority: Priority): RequestRecord[] {
  return records.filter(({ received }) => received.priority === priority);
}

export function percent(part: number, whole: number): string {
  return `${((part / whole) * 100).toFixed(1)} %`;
}
