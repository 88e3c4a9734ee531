/** The state of all targets, created from the config and kept over reloads. */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import { Cooldown } from '../policy/cooldown/cooldown.ts';
import { HedgeBudget, RescueBudget } from '../policy/hedge.ts';
import { SilenceRecord } from '../policy/latency/silence.ts';
import { KnownRepairs } from '../policy/repair/known-repairs.ts';
import { RetryBudget } from '../policy/retry-budget.ts';
import { ConfirmedRefusals } from '../policy/second-opinion/confirmed-refusals.ts';
import { FirstContentEstimate } from '../policy/selection/first-content.ts';
import { Health } from '../policy/selection/health.ts';
import { pausedMs } from '../pipeline/route/route.ts';
import type { LimitLearner } from '../pipeline/route/limit-learner.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import { localBasePath, localOrigin } from '../transport/local/local-transport.ts';
import { ACCOUNT_HEADERS, FORWARDED_HEADERS } from '../wire/forwarded-headers.ts';
import { endpointOf } from '../endpoint/endpoints.ts';
import { DetectedSupport } from '../wire/conversion.ts';
import type { TargetWire } from '../wire/conversion.ts';
import { DIALECTS, dialectOf } from '../wire/dialects.ts';
import { abilitiesOf } from './abilities.ts';
import { isReasoningModel } from './config/index.ts';
import type { Config, LimitsConfig, Policy, ProviderConfig } from './config/index.ts';
import { CredentialRegistry } from './credentials.ts';
import type { ProviderCredential } from './credentials.ts';
import type { CreateSigner } from './identity/signers.ts';
import { knownModel } from './known-models.ts';
import { priceBasisOf, priceOf } from './money/prices.ts';
import { createTargetLearning, LimitLearners, type LearningFleet } from './learning.ts';
import type { LimitRegistry, LimitResource } from './limits.ts';
import { protocolOf } from './model-protocol.ts';
import { placeOf } from './provider-location.ts';
import { RememberedNames } from './remembered-names.ts';

/** The most targets with names that are not in the config; eviction: see `remembered-names.ts`. */
export const UNNAMED_TARGETS_MAX = 2_000;

/** The part of a policy that belongs to the target and is the same for all its routes. */
type TargetPolicy = Pick<Policy, 'breaker' | 'retry'>;

/** State that all credentials of a provider's model share. */
type SharedState = Pick<
  TargetState,
  | 'breaker'
  | 'overload'
  | 'retryBudget'
  | 'hedgeBudget'
  | 'rescueBudget'
  | 'silence'
  | 'firstContent'
  | 'repairs'
  | 'refusals'
  | 'emitted'
  | 'found'
  | 'concurrency'
  | 'input'
  | 'output'
>;

interface KnownPlace {
  /** The config whose first route determined its settings. */
  config: Config;
  settings: string;
  shared: SharedState;
  /** The number of targets that share it. */
  targets: number;
}

interface KnownTarget {
  config: Config;
  readonly state: TargetState;
}

export class TargetRegistry {
  readonly credentials: CredentialRegistry;
  readonly learners: LimitLearners;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: LimitRegistry;
  readonly #places = new Map<string, KnownPlace>();
  readonly #targets = new Map<string, KnownTarget>();
  /** Keys of targets that are not in the config. */
  readonly #unnamed = new RememberedNames(UNNAMED_TARGETS_MAX, (key) => this.#isBusy(key));
  /** Called for each new target. */
  onCreated: ((state: TargetState) => void) | null = null;

  constructor(clock: Clock, random: Random, limits: LimitRegistry, createSigner: CreateSigner, fleet: LearningFleet | null = null) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
    this.learners = new LimitLearners(fleet);
    this.credentials = new CredentialRegistry(random, createSigner);
  }

  /** One state per credential of the provider. `holder`: the client or address that requests an unconfigured name; null: configured. */
  forModel(config: Config, provider: ProviderConfig, model: string, policy: TargetPolicy, holder: string | null): TargetState[] {
    const credentials = this.credentials.of(provider);
    return credentials.map((credential) => {
      const key = keyOf(`${provider.name}/${model}`, credential);
      this.#remember(key, holder);
      return this.#target(config, provider, model, policy, credential, credentials.length);
    });
  }

  /** Marks a target with an unconfigured name as used; false: it was evicted and has to be created again. */
  use(state: TargetState): boolean {
    const key = keyOf(state.name, state.credential);
    if (this.#targets.get(key)?.state !== state) return false;
    this.#unnamed.use(key);
    return true;
  }

  #remember(key: string, holder: string | null): void {
    if (holder === null) return this.#unnamed.remove(key);
    if (this.#targets.has(key)) return void this.#unnamed.use(key);
    const forgotten = this.#unnamed.add(key, holder);
    if (forgotten !== null) this.#forget(forgotten, this.#targets.get(forgotten)!.state);
  }

  #isBusy(key: string): boolean {
    const { state } = this.#targets.get(key)!;
    return state.inFlight > 0 || state.breaker.state !== 'closed' || pausedMs(state, this.#clock.now()) > 0;
  }

  /** All targets, configured ones first. */
  all(): TargetState[] {
    const [named, unnamed]: [TargetState[], TargetState[]] = [[], []];
    for (const [key, { state }] of this.#targets) (this.#unnamed.has(key) ? unnamed : named).push(state);
    return named.concat(unnamed);
  }

  /** After a reload: drops targets of removed providers and keys; running requests keep a reference to theirs. */
  forgetOthers(config: Config): void {
    this.credentials.forgetOthers(config);
    const kept = new Set(Object.values(config.providers).flatMap((provider) => this.credentials.of(provider)));
    for (const [key, { state }] of this.#targets) if (!kept.has(state.credential as ProviderCredential)) this.#forget(key, state);
    this.learners.keepOnly(new Set(this.all().map(({ rates }) => rates)));
  }

  /** The states of all credentials of the target `provider/model`. */
  named(name: string): TargetState[] {
    return this.all().filter((state) => state.name === name);
  }

  #target(
    config: Config,
    provider: ProviderConfig,
    model: string,
    policy: TargetPolicy,
    credential: ProviderCredential,
    credentials: number,
  ): TargetState {
    const name = `${provider.name}/${model}`;
    const key = keyOf(name, credential);
    const known = this.#targets.get(key);
    // One state per target, over all routes: within one config the first route determines its settings.
    if (known?.config === config) return known.state;
    const place = this.#place(config, name, policy);
    const settings = this.#settings(config, provider, model, credential, credentials);
    place.shared.concurrency.configure(
      [provider.limits, provider.models[model]?.limits].some((limits) => limits?.concurrency !== undefined),
    );
    // A known target is updated in place: it keeps its running requests and learned state.
    const state: TargetState = Object.assign(
      known?.state ?? {
        health: new Health(),
        cooldown: this.#rateCooldown(provider, key, credential),
        inFlight: 0,
        rateLimitStreak: 0,
        failedQualityChecks: {},
        rateLimitedAt: -Infinity,
      },
      place.shared,
      settings,
    );
    this.#targets.delete(key); // moved to the end, so that the order is that of the config
    this.#targets.set(key, { config, state });
    if (known !== undefined) return state;
    place.targets++;
    this.onCreated?.(state);
    return state;
  }

  /** The shared state of all credentials; a changed setting creates a new breaker with the state of the old one. */
  #place(config: Config, name: string, policy: TargetPolicy): KnownPlace {
    const known = this.#places.get(name);
    if (known?.config === config) return known;
    const settings = JSON.stringify([policy.breaker, policy.retry.budget]);
    const now = this.#clock.now();
    const place = known ?? {
      config,
      settings: '',
      targets: 0,
      shared: {
        breaker: this.#breaker(name, policy),
        overload: new Cooldown(`${name}:overload`, 'cooldown', this.#random),
        retryBudget: new RetryBudget(policy.retry.budget, now),
        hedgeBudget: new HedgeBudget(),
        rescueBudget: new RescueBudget(),
        silence: new SilenceRecord(),
        firstContent: new FirstContentEstimate(),
        repairs: new KnownRepairs(),
        refusals: new ConfirmedRefusals(),
        emitted: { breaker: 'closed' as const },
        found: new DetectedSupport(this.#clock),
        ...createTargetLearning(name),
      },
    };
    if (known !== undefined && known.settings !== settings) {
      const breaker = this.#breaker(name, policy);
      const epochMs = this.#clock.epochMs();
      const record = known.shared.breaker.save(now, epochMs);
      if (record !== null) breaker.restore(now, epochMs, record);
      known.shared = { ...known.shared, breaker, retryBudget: new RetryBudget(policy.retry.budget, now) };
    }
    place.config = config;
    place.settings = settings;
    this.#places.set(name, place);
    return place;
  }

  #breaker(name: string, policy: TargetPolicy): CircuitBreaker {
    return new CircuitBreaker(`${name}:breaker`, breakerOptions(policy), this.#random);
  }

  /** Where the limits of a preset apply to all models of a key, a rate limit of one model pauses all of them. */
  #rateCooldown(provider: ProviderConfig, key: string, credential: ProviderCredential): Cooldown {
    return isLimitedWhole(provider) ? credential.cooldown : new Cooldown(`${key}:cooldown`, 'cooldown', this.#random);
  }

  #forget(key: string, { name }: TargetState): void {
    this.#targets.delete(key);
    this.#unnamed.remove(key);
    this.learners.forget(key);
    const place = this.#places.get(name);
    if (place !== undefined && --place.targets === 0) this.#places.delete(name);
  }

  /** Learned limits belong to the key, or to one model of the key. */
  #rates(
    provider: ProviderConfig,
    key: string,
    credential: ProviderCredential,
    own: LimitsConfig | undefined,
    shared: readonly LimitResource[],
    ownLimits: readonly LimitResource[],
  ): LimitLearner | null {
    if (credential.auth === 'caller') return null;
    if (isLimitedWhole(provider)) return this.learners.of(credential.id, provider, [provider.limits], shared);
    const limits = own === undefined ? [provider.limits] : [own, provider.limits];
    return this.learners.of(key, provider, limits, [...ownLimits, ...shared]);
  }

  #settings(config: Config, provider: ProviderConfig, model: string, credential: ProviderCredential, credentials: number) {
    const name = `${provider.name}/${model}`;
    const number = credential.number;
    const own = provider.models[model];
    const protocol = protocolOf(provider, model);
    const known = knownModel(provider.preset, model);
    const shared = this.#limits.make(credential.id, `${provider.name}#${number}`, provider.limits);
    const ownLimits = own === undefined ? [] : this.#limits.make(keyOf(name, credential), `${name}#${number}`, own.limits);
    return {
      name,
      provider: provider.name,
      model,
      credential,
      ...addressOf(provider, model),
      endpoint: endpointOf(provider.address, protocol),
      wire: wireOf(provider, model, known?.isResponsesOnly ?? false),
      contextTokens: known?.contextTokens ?? null,
      callsTools: known?.abilities?.has('t') ?? true,
      headers: ['user-agent', 'breakwater', 'accept-encoding', 'identity', ...Object.entries(provider.headers).flat()],
      forwards: forwardedTo(provider),
      local: provider.local,
      ...placeOf(provider),
      standsIn: provider.engine?.name === 'extract',
      usesReasoning: isReasoningModel(model),
      includeUsage: provider.includeUsage && (protocol === 'openai' || protocol === 'local'),
      countsOutput: provider.countsOutput,
      countsCached: provider.countsCached,
      cooldownSubject: isLimitedWhole(provider) ? `${provider.name}#${number}` : credentials > 1 ? `${name}#${number}` : name,
      limits: [...shared, ...ownLimits],
      rates: this.#rates(provider, keyOf(name, credential), credential, own?.limits, shared, ownLimits),
      price: priceOf(config, provider, model),
      priceBasis: priceBasisOf(provider),
    };
  }
}

/** Headers that the config sets are not forwarded from callers. */
function forwardedTo({ apiKeys, headers, forwardHeaders }: ProviderConfig): ReadonlySet<string> {
  const names = [...FORWARDED_HEADERS, ...forwardHeaders];
  const isCaller = apiKeys === 'caller';
  return new Set(names.filter((name) => !Object.hasOwn(headers, name) && (isCaller || !ACCOUNT_HEADERS.has(name))));
}

/** The address of its requests. A local model has a synthetic address. */
function addressOf({ name, baseUrl }: ProviderConfig, model: string): Pick<TargetState, 'origin' | 'basePath'> {
  if (baseUrl === '') return { origin: localOrigin(name), basePath: localBasePath(model) };
  const url = new URL(baseUrl);
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, '') };
}

function wireOf(provider: ProviderConfig, model: string, isResponsesOnly: boolean): TargetWire {
  const protocol = protocolOf(provider, model);
  const dialect = isResponsesOnly ? DIALECTS['openai-responses'] : dialectOf(protocol);
  const can = abilitiesOf(provider, model);
  const other = protocol === 'openai' && !isResponsesOnly ? DIALECTS['openai-responses'] : null;
  return { dialect, other, mayLackOther: provider.preset !== 'openai', can, key: `${dialect.name} ${JSON.stringify(can)}` };
}

/** The model name may contain anything; a credential id has no spaces. */
function keyOf(name: string, credential: { readonly id: string }): string {
  return `${credential.id} ${name}`;
}

/** Without a preset nothing is known about the provider's limits, so a limit applies to the model that was limited. */
function isLimitedWhole(provider: ProviderConfig): boolean {
  return provider.preset !== null && provider.limitScope === 'credential';
}

export function breakerOptions({ breaker }: TargetPolicy) {
  return {
    windowMs: breaker.window,
    failureRatio: breaker.failureRatio,
    minRequests: breaker.minRequests,
    consecutiveFailures: breaker.consecutiveFailures,
    openForMs: breaker.openFor,
    maxOpenForMs: breaker.maxOpenFor,
    probes: breaker.probes,
  };
}
