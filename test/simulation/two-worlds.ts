/** Runs one scenario twice: over real sockets in real time, with Storms as providers, and in the simulator. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BreakwaterEvent, FinishedEvent } from '../../src/core/events.ts';
import { PRIORITIES, type Priority } from '../../src/core/request.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import type { SimulatedFaultKind } from '../../src/testing/simulated-faults.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import { createSimulation } from '../../src/testing/simulation.ts';
import { bodyOf, type SimulatedRequest } from '../../src/testing/workload.ts';
import { startGateway } from '../e2e/harness.ts';
import { quantile } from './observed.ts';

/** A provider in terms of both worlds. */
export interface TwinProvider {
  readonly limits: { readonly requestsPerMinute: number; readonly tokensPerMinute?: number; readonly concurrency?: number };
  readonly enforce: 'bucket' | 'sliding';
  readonly burst?: number;
  /** Log-normal. */
  readonly firstTokenMs: { readonly p50: number; readonly p99: number };
  readonly tokensPerSecond: number;
  readonly fault: { readonly kind: 'server_error' | 'reset'; readonly probability: number };
}

export interface TwinScenario {
  readonly providers: Readonly<Record<string, TwinProvider>>;
  readonly config: Omit<ConfigInput, 'providers'>;
  /** Each with an output limit, which is the length of its response. */
  readonly requests: readonly SimulatedRequest[];
  readonly seed: number;
}

/** The result. */
export interface Outcome {
  readonly requests: number;
  readonly success: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** The calls that each provider got, by its own count. */
  readonly starts: Readonly<Record<string, number>>;
  /** By the providers' own count. */
  readonly violations: number;
  /** p95 in milliseconds, of all that were not refused. */
  readonly waitMs: number;
  readonly waitMsOf: Readonly<Record<Priority, number>>;
}

export interface RealOutcome extends Outcome {
  /** The 99th percentile of the lateness of this process's own timers, in milliseconds. */
  readonly lateMs: number;
}

/** Longer than any response: every response is as long as the output limit of its caller. */
const ENDLESS_TOKENS = 100_000;
/** The one-way delay of loopback. */
const LOOPBACK_MS = 0.5;
const STORM_FAULTS = { server_error: '500', reset: 'reset' } as const satisfies Partial<Record<SimulatedFaultKind, string>>;
/** The z-values of the 95th and the 99th percentile of a normal distribution. */
const Z95_OVER_Z99 = 1.6449 / 2.3263;

export async function playSimulated(scenario: TwinScenario): Promise<Outcome> {
  const behaviours = Object.entries(scenario.providers).map(([name, twin]) => [name, toBehaviour(twin)] as const);
  const config = configOf(scenario, (name) => `http://${name}.invalid/v1`);
  const simulation = await createSimulation({ config, seed: scenario.seed, providers: Object.fromEntries(behaviours) });
  const finished: FinishedEvent[] = [];
  simulation.events.on('finished', (event) => void finished.push(event));
  await simulation.play(scenario.requests);
  await simulation.close();
  const counts = [...simulation.providers.values()].map(({ name, count }) => ({ name, calls: count.calls, violations: count.violations }));
  return outcomeOf(finished, counts);
}

export async function playReal(scenario: TwinScenario): Promise<RealOutcome> {
  const storms = await Promise.all(
    Object.entries(scenario.providers).map(([name, twin], i) => startStorm({ name, seed: scenario.seed * 100 + i, ...toStorm(twin) })),
  );
  const names = Object.keys(scenario.providers);
  const gateway = await startGateway(
    configOf(scenario, (name) => storms[names.indexOf(name)]!.url),
    { seed: scenario.seed },
  );
  const late = monitorEventLoopDelay({ resolution: 5 });
  late.enable();
  await sendAll(scenario.requests, gateway.url);
  late.disable();
  const counts = storms.map((storm, i) => {
    const { calls, violations } = storm.stats();
    return { name: names[i]!, calls, violations: violations.total };
  });
  await gateway.close();
  await Promise.all(storms.map((storm) => storm.close()));
  return { ...outcomeOf(gateway.events.filter(isFinished), counts), lateMs: late.percentile(99) / 1e6 };
}

/** Each at its instant, whatever the state of those before it. */
async function sendAll(requests: readonly SimulatedRequest[], url: string): Promise<void> {
  const startedAt = performance.now();
  const underWay: Promise<void>[] = [];
  for (const request of requests) {
    const waitMs = startedAt + request.atMs - performance.now();
    if (waitMs >= 1) await sleep(waitMs);
    underWay.push(send(request, url));
  }
  await Promise.all(underWay);
}

async function send(request: SimulatedRequest, url: string): Promise<void> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (request.priority !== null) headers['x-breakwater-priority'] = request.priority;
  if (request.deadlineMs !== null) headers['x-breakwater-deadline-ms'] = String(request.deadlineMs);
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: bodyOf(request) });
  // A broken response is recorded in the events.
  await response.text().catch(() => '');
}

function configOf({ config, providers }: TwinScenario, urlOf: (name: string) => string): ConfigInput {
  const entries = Object.entries(providers).map(([name, { limits, enforce, burst }]) => {
    const how = { window: enforce, ...(burst === undefined ? {} : { burst }) };
    return [name, { protocol: 'openai' as const, baseUrl: urlOf(name), apiKey: 'sk-test', limits: { ...limits, ...how } }] as const;
  });
  return { ...config, providers: Object.fromEntries(entries) };
}

function toBehaviour({ limits, enforce, burst, firstTokenMs: { p50, p99 }, tokensPerSecond, fault }: TwinProvider): ProviderBehaviour {
  return {
    limits: { ...limits, enforce, ...(burst === undefined ? {} : { burst }) },
    networkMs: LOOPBACK_MS,
    firstTokenMs: { p50, p95: p50 * (p99 / p50) ** Z95_OVER_Z99 },
    tokensPerSecond,
    outputTokens: ENDLESS_TOKENS,
    faults: [fault],
  };
}

function toStorm({ limits, enforce, burst, firstTokenMs, tokensPerSecond, fault }: TwinProvider): StormOptions {
  return {
    limits: { ...limits, enforce, ...(burst === undefined ? {} : { burst }) },
    timing: { firstTokenMs, tokensPerSecond, tokens: ENDLESS_TOKENS },
    faults: [{ kind: STORM_FAULTS[fault.kind], probability: fault.probability }],
  };
}

function outcomeOf(
  finished: readonly FinishedEvent[],
  counts: readonly { readonly name: string; readonly calls: number; readonly violations: number }[],
): Outcome {
  const outcomes: Record<string, number> = {};
  for (const { outcome } of finished) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  const waited = finished.filter(({ outcome }) => outcome !== 'refused');
  const waitMs = (of: readonly FinishedEvent[]): number =>
    quantile(
      of.map(({ queueMs }) => queueMs),
      0.95,
    );
  return {
    requests: finished.length,
    success: outcomes['success'] ?? 0,
    outcomes,
    starts: Object.fromEntries(counts.map(({ name, calls }) => [name, calls])),
    violations: counts.reduce((sum, { violations }) => sum + violations, 0),
    waitMs: waitMs(waited),
    waitMsOf: Object.fromEntries(PRIORITIES.map((one) => [one, waitMs(waited.filter(({ priority }) => priority === one))])) as Record<
      Priority,
      number
    >,
  };
}

function isFinished(event: BreakwaterEvent): event is FinishedEvent {
  return event.type === 'finished';
}
