/** From a requested name to its route, made once for each name. */
import type { TierClock } from '../policy/selection/selection.ts';
import { Route } from '../pipeline/route/route.ts';
import type { RouteTarget, TargetState } from '../pipeline/route/route.ts';
import { providerNamed, resolveModel, resolvePolicy } from './config/index.ts';
import type { Config, ModelLists, ResolvedModel, TargetSpec } from './config/index.ts';
import type { QualityChecks } from './quality-checks.ts';
import { isOnThisMachine } from './provider-place.ts';
import type { TargetRegistry } from './targets.ts';

/** Names come from callers: beyond this many routes are made anew. */
const ROUTES_MAX = 2_000;

/** What all targets of a tier have in common. */
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
  /** Made for names that callers asked for. */
  readonly #routes = new Map<string, Route>();

  constructor(config: Config, targets: TargetRegistry, checks: QualityChecks) {
    this.#config = config;
    this.#targets = targets;
    this.#checks = checks;
    // Made now so that they are listed, and that their settings don't depend on which name is asked for first. Routes that set
    // a breaker or a retry budget of their own come first: a target has one of each, whoever asks it.
    const names = Object.keys(config.models).filter((name) => !name.includes('*'));
    const setsOwn = (name: string): boolean =>
      config.models[name]!.policy.breaker !== undefined || config.models[name]!.policy.retry !== undefined;
    for (const name of [...names.filter(setsOwn), ...names]) {
      this.#configured.set(name, this.#configured.get(name) ?? this.#make(resolveModel(config, name)!, null));
    }
  }

  /** The route of a name; null: nobody knows it. `holder`: whose share of the remembered names it takes. */
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

  /** `NAME/` with no model: a path that is passed through to the provider as it is. */
  #wholeProvider(name: string): ResolvedModel | null {
    const provider = name.endsWith('/') ? this.#config.providers[name.slice(0, -1)] : undefined;
    if (provider === undefined) return null;
    const target: TargetSpec = { provider: provider.name, model: '', weight: 1, set: {}, drop: [], equivalent: false, prefill: false };
    return { name, by: 'target', tiers: [[target]], patience: 0, patienceGiven: false, policy: {} };
  }

  /** False: a target of it was forgotten meanwhile. */
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

  /** Models on this machine below others, unless `patience` says how long those are worth waiting for. */
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

/** In the order in which a refusal is cheapest to find. */
function resourcesOf(state: TargetState): RouteTarget['resources'] {
  const learned = state.rates === null ? [state.concurrency] : [...state.rates.resources, state.concurrency];
  return [state.breaker, state.overload, state.cooldown, state.credential.bench, ...learned, ...state.limits];
}
