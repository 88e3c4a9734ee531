/** Runs a load against a config and collects the resulting figures. */
import type { AttemptEndEvent, Blocker, FinishedEvent } from '../../core/events.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../../core/request.ts';
import type { Config, LimitsConfig } from '../../gateway/config/index.ts';
import type { ModelBehaviour, ProviderBehaviour } from '../../testing/simulated-provider.ts';
import type { ProviderLimits } from '../../testing/provider-limits.ts';
import type { SimulatedCaller } from '../../testing/simulated-caller.ts';
import { createSimulation, type Simulation } from '../../testing/simulation.ts';
import type { SimulatedRequest } from '../../testing/workload.ts';
import { Bottlenecks } from './bottleneck.ts';

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface PriorityFigures {
  readonly requests: number;
  readonly success: number;
  readonly refused: number;
  readonly failed: number;
  /** Ended by an error after the response had started. */
  readonly interrupted: number;
  readonly cancelled: number;
  /** Time in the queue, in milliseconds, of all requests that were not refused; null if there are none. */
  readonly waitMs: Quantiles | null;
  /** The same, of successful requests only. */
  readonly servedWaitMs: Quantiles | null;
  /** Milliseconds from arrival, of successful requests. For non-streaming requests the first content is the full response. */
  readonly firstContentMs: Quantiles | null;
  readonly durationMs: Quantiles | null;
  /** The main causes of waiting, in words. */
  readonly bottlenecks: readonly string[];
  /** Error counts of failed requests by code, most frequent first. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface TargetFigures {
  readonly target: string;
  readonly calls: number;
  readonly success: number;
  readonly rateLimited: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Cost of successful responses; null if no price is known. */
  readonly costUsd: number | null;
  /** Calls with token usage whose target has no known price, and is not self-hosted. */
  readonly unpricedCalls: number;
}

export interface ScenarioFigures {
  /** The provider that was removed; null if none. */
  readonly without: string | null;
  readonly requests: number;
  readonly success: number;
  /** From the first arrival to the last response, in milliseconds. */
  readonly durationMs: number;
  readonly byPriority: Readonly<Record<SchedulingClass, PriorityFigures>>;
  readonly targets: readonly TargetFigures[];
  /** Errors received by callers, by code. */
  readonly errors: Readonly<Record<string, number>>;
  readonly costUsd: number | null;
}

export interface ScenarioOptions {
  readonly config: Config;
  readonly requests: readonly SimulatedRequest[];
  readonly targets: ReadonlyMap<string, ModelBehaviour>;
  readonly seed: number;
  readonly without: string | null;
}

export async function runScenario({ config, requests, targets, seed, without }: ScenarioOptions): Promise<ScenarioFigures> {
  const used = without === null ? config : withoutProvider(config, without);
  const simulation = await createSimulation({ config: used, seed, providers: behavioursOf(used, targets) });
  if (without !== null) isolate(simulation, without);
  const tally = new Tally(simulation, used);
  await simulation.play(requests, (caller) => tally.onOver(caller));
  const durationMs = simulation.clock.now();
  await simulation.close();
  return tally.figures(without, durationMs);
}

function behavioursOf(config: Config, targets: ReadonlyMap<string, ModelBehaviour>): Record<string, ProviderBehaviour> {
  const entries = Object.values(config.providers).map(({ name, limits, models }) => {
    const modelLimits = Object.fromEntries(Object.entries(models).map(([model, own]) => [model, toProviderLimits(own.limits)]));
    const own = [...targets].filter(([target]) => target.startsWith(`${name}/`));
    const byModel = Object.fromEntries(own.map(([target, behaviour]) => [target.slice(name.length + 1), behaviour]));
    // Recorded latencies include the network.
    const network = own.length > 0 ? { networkMs: 0 } : {};
    return [name, { limits: toProviderLimits(limits), modelLimits, models: byModel, ...network }] as const;
  });
  return Object.fromEntries(entries);
}

function toProviderLimits({ window, burst, ...limits }: LimitsConfig): ProviderLimits {
  return { ...limits, enforce: window, burst };
}

/** Removes the provider's targets from every route. A route without other targets keeps them, and `isolate` opens their breakers. */
function withoutProvider(config: Config, provider: string): Config {
  const models = Object.fromEntries(
    Object.entries(config.models).map(([name, model]) => {
      const tiers = model.tiers.map((tier) => tier.filter((spec) => spec.provider !== provider)).filter((tier) => tier.length > 0);
      return [name, tiers.length === 0 ? model : { ...model, tiers }];
    }),
  );
  return { ...config, models };
}

function isolate({ gateway }: Simulation, provider: string): void {
  for (const target of gateway.targets()) if (target.provider === provider) gateway.isolate(target.target);
}

interface TargetCount {
  calls: number;
  success: number;
  rateLimited: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number | null;
  unpricedCalls: number;
}

class Tally {
  readonly #byPriority = new Map<SchedulingClass, FinishedEvent[]>(SCHEDULING_CLASSES.map((priority) => [priority, []]));
  readonly #bottlenecks: ReadonlyMap<SchedulingClass, Bottlenecks>;
  /** Blockers of requests that have not finished. */
  readonly #blockers = new Map<string, readonly Blocker[]>();
  readonly #targets = new Map<string, TargetCount>();
  readonly #errors = new Map<string, number>();
  readonly #providers: Config['providers'];
  #requests = 0;
  #success = 0;
  #costUsd: number | null = null;

  constructor({ events }: Simulation, config: Config) {
    this.#providers = config.providers;
    this.#bottlenecks = new Map(SCHEDULING_CLASSES.map((priority) => [priority, new Bottlenecks(config)]));
    events.on('queued', ({ requestId, blockers }) => void this.#blockers.set(requestId, blockers));
    events.on('finished', (event) => this.#onFinished(event));
    events.on('attempt_end', (event) => this.#onAttemptEnd(event));
  }

  onOver(caller: SimulatedCaller): void {
    this.#requests++;
    const code = caller.errorCode();
    if (code !== null) this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  figures(without: string | null, durationMs: number): ScenarioFigures {
    const targets = [...this.#targets].map(([target, count]) => ({ target, ...count })).toSorted((a, b) => b.calls - a.calls);
    const errors = ranked(this.#errors);
    return {
      without,
      requests: this.#requests,
      success: this.#success,
      durationMs,
      byPriority: Object.fromEntries(SCHEDULING_CLASSES.map((priority) => [priority, this.#figuresOf(priority)])) as Record<
        SchedulingClass,
        PriorityFigures
      >,
      targets,
      errors,
      costUsd: this.#costUsd,
    };
  }

  #figuresOf(priority: SchedulingClass): PriorityFigures {
    return figuresOf(this.#byPriority.get(priority)!, this.#bottlenecks.get(priority)!.names);
  }

  #onFinished(event: FinishedEvent): void {
    const blockers = this.#blockers.get(event.requestId);
    this.#blockers.delete(event.requestId);
    if (blockers !== undefined) this.#bottlenecks.get(event.priority)!.add(blockers, event.queueMs);
    this.#byPriority.get(event.priority)!.push(event);
    if (event.outcome === 'success') this.#success++;
    if (event.costUsd !== null) this.#costUsd = (this.#costUsd ?? 0) + event.costUsd;
  }

  #onAttemptEnd({ target, provider, verdict, status, usage, costUsd }: AttemptEndEvent): void {
    const count = this.#target(target);
    count.calls++;
    if (verdict === 'success') count.success++;
    if (status === 429) count.rateLimited++;
    count.inputTokens += usage?.inputTokens ?? 0;
    count.outputTokens += usage?.outputTokens ?? 0;
    if (costUsd !== undefined) count.costUsd = (count.costUsd ?? 0) + costUsd;
    else if (usage !== null && this.#providers[provider]?.local !== true) count.unpricedCalls++;
  }

  #target(name: string): TargetCount {
    let count = this.#targets.get(name);
    if (count === undefined) {
      count = { calls: 0, success: 0, rateLimited: 0, inputTokens: 0, outputTokens: 0, costUsd: null, unpricedCalls: 0 };
      this.#targets.set(name, count);
    }
    return count;
  }
}

function figuresOf(finished: readonly FinishedEvent[], bottlenecks: readonly string[]): PriorityFigures {
  const having = (outcome: FinishedEvent['outcome']): FinishedEvent[] => finished.filter((event) => event.outcome === outcome);
  const successful = having('success');
  return {
    requests: finished.length,
    success: successful.length,
    refused: having('refused').length,
    failed: having('failed').length,
    interrupted: having('interrupted').length,
    cancelled: having('cancelled').length,
    waitMs: quantiles(finished.filter(({ outcome }) => outcome !== 'refused').map(({ queueMs }) => queueMs)),
    servedWaitMs: quantiles(successful.map(({ queueMs }) => queueMs)),
    firstContentMs: quantiles(successful.flatMap(({ firstContentMs }) => (firstContentMs === null ? [] : [firstContentMs]))),
    durationMs: quantiles(successful.map(({ durationMs }) => durationMs)),
    bottlenecks,
    errors: ranked(tallied(finished.flatMap(({ outcome, code }) => (outcome === 'success' || code === null ? [] : [code])))),
  };
}

function tallied(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Sorted by count, most frequent first. */
function ranked(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted((a, b) => b[1] - a[1]));
}

function quantiles(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.ceil(share * sorted.length) - 1]!);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
