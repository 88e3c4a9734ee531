/** Resolves a requested model name to its route, which is cached by name. */
import type { TierClock } from '../policy/selection/selection.ts';
import { Route } from '../pipeline/route/route.ts';
import type { RouteTarget, TargetState } from '../pipeline/route/route.ts';
import { providerNamed, resolveModel, resolvePolicy } from './config/index.ts';
import type { Config, ModelLists, ResolvedModel, TargetSpec } from './config/index.ts';
import type { QualityChecks } from './quality-checks.ts';
import { isOnThisMachine } from './provider-location.ts';
import type { TargetRegistry } from './targets.ts';

/** The most cached routes of names from callers; the cache is cleared beyond it. */
const ROUTES_MAX = 2_000;

/** Properties that all targets of a tier share. */
interface TierCommon {
  readonly tier: number;
  readonly time: TierClock;
  readonly isLastResort: boolean;
}

export class Routes {
  readonly #config: Config;
  readonly #targets: TargetRegistry;
  readonly #checks: QualityChecks;
  readonly #configured = new Map<string, Route>();
  /** Routes of other names from requests. */
  readonly #routes = new Map<string, Route>();

  constructor(config: Config, targets: TargetRegistry, checks: QualityChecks) {
    this.#config = config;
    this.#targets = targets;
    this.#checks = checks;
    // Built at once, so that all are listed and their settings do not depend on the order of requests. Routes with their own
    // breaker or retry settings come first: a target has one breaker and one retry budget for all its routes.
    const names = Object.keys(config.models).filter((name) => !name.includes('*'));
    const setsOwn = (name: string): boolean =>
      config.models[name]!.policy.breaker !== undefined || config.models[name]!.policy.retry !== undefined;
    for (const name of [...names.filter(setsOwn), ...names]) {
      this.#configured.set(name, this.#configured.get(name) ?? this.#make(resolveModel(config, name)!, null));
    }
  }

  /** The route of a name; null: unknown model. `holder`: the client or address for which an unconfigured name is counted. */
  find(name: string, holder: string, lists?: ModelLists): Route | null {
    const configured = this.#configured.get(name);
    if (configured !== undefined) return configured;
    const known = this.#routes.get(name);
    if (known !== undefined && this.#isWhole(known)) return known;
    const resolved = resolveModel(this.#config, name, lists) ?? this.#wholeProvider(name);
    if (resolved === null) return null;
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    const route = this.#make(resolved, holder);
    this.#routes.set(name, route);
    return route;
  }

  /** `NAME/` without a model: for paths that are passed through to the provider unchanged. */
  #wholeProvider(name: string): ResolvedModel | null {
    const provider = name.endsWith('/') ? this.#config.providers[name.slice(0, -1)] : undefined;
    if (provider === undefined) return null;
    const target: TargetSpec = { provider: provider.name, model: '', weight: 1, set: {}, drop: [], equivalent: false, prefill: false };
    return { name, by: 'target', tiers: [[target]], patience: 0, patienceGiven: false, policy: {} };
  }

  /** False: one of its targets has been evicted. */
  #isWhole({ tiers }: Route): boolean {
    for (const tier of tiers) for (const { state } of tier) if (!this.#targets.use(state)) return false;
    return true;
  }

  #make(resolved: ResolvedModel, holder: string | null): Route {
    const policy = resolvePolicy(this.#config.policy, null, resolved.policy);
    return new Route({
      name: resolved.name,
      tiers: resolved.tiers.map((tier, i) => {
        const common = { tier: i, time: { now: 0 }, isLastResort: this.#isLastResort(resolved, i) };
        return tier.flatMap((spec) => this.#targetsOf(spec, common, resolved, holder));
      }),
      patienceMs: resolved.patience,
      deadlineMs: policy.deadline,
      maxAttempts: policy.maxAttempts,
      maxWaitMs: policy.queue.maxWait === 'none' ? Infinity : policy.queue.maxWait,
      policy,
    });
  }

  /** A tier of local models below remote ones, unless `patience` is set. */
  #isLastResort({ tiers, patienceGiven }: ResolvedModel, tier: number): boolean {
    const isHere = ({ provider }: TargetSpec): boolean => isOnThisMachine(providerNamed(this.#config.providers, provider)!);
    return !patienceGiven && tiers[tier]!.every(isHere) && tiers.slice(0, tier).some((better) => !better.every(isHere));
  }

  #targetsOf(spec: TargetSpec, common: TierCommon, resolved: ResolvedModel, holder: string | null): RouteTarget[] {
    const provider = providerNamed(this.#config.providers, spec.provider)!;
    const policy = resolvePolicy(this.#config.policy, provider.policy, resolved.policy);
    const states = this.#targets.forModel(this.#config, provider, spec.model, policy, holder);
    const quality = this.#checks.qualityOf(policy.quality);
    return states.map((state) => ({
      key: state.name,
      resources: resourcesOf(state),
      state,
      ...common,
      weight: spec.weight / states.length,
      healthAt: (now) => state.health.valueAt(now),
      expectedMs: (kind, now) => state.firstContent.expectedMs(kind, now),
      turn: 0,
      slowness: 1,
      affinityKey: `${state.name} ${state.credential.id}`,
      set: spec.set,
      drop: spec.drop,
      equivalent: spec.equivalent,
      prefill: spec.prefill,
      policy,
      quality,
    }));
  }
}

/** Cheapest checks first. */
function resourcesOf(state: TargetState): RouteTarget['resources'] {
  const learned = state.rates === null ? [state.concurrency] : [...state.rates.resources, state.concurrency];
  return [state.breaker, state.overload, state.cooldown, state.credential.quarantine, ...learned, ...state.limits];
}
