/** The state of everything that can be sent to, made from the config and kept over reloads. */
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
import { FoundWire } from '../wire/conversion.ts';
import type { TargetWire } from '../wire/conversion.ts';
import { DIALECTS, dialectOf } from '../wire/dialects.ts';
import { abilitiesOf } from './abilities.ts';
import { isThinkingModel } from './config/index.ts';
import type { Config, LimitsConfig, Policy, ProviderConfig } from './config/index.ts';
import { CredentialRegistry } from './credentials.ts';
import type { KeptCredential } from './credentials.ts';
import type { CreateSigner } from './identity/signers.ts';
import { knownModel } from './known-models.ts';
import { createTargetLearning, LimitLearners } from './learning.ts';
import type { LimitRegistry, LimitResource } from './limits.ts';
import { protocolOf } from './model-protocol.ts';
import { placeOf } from './provider-place.ts';
import { RememberedNames } from './remembered-names.ts';

/** Targets that were made for names that the config does not hold; at the bound see `remembered-names.ts`. */
export const UNNAMED_TARGETS_MAX = 2_000;

/** The part of a policy that belongs to the target, whatever route it is asked through. */
type TargetPolicy = Pick<Policy, 'breaker' | 'retry'>;

/** What all credentials of a provider's model have in common. */
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
  /** The config in which the first route has said how it is set. */
  config: Config;
  settings: string;
  shared: SharedState;
  /** How many targets share it. */
  targets: number;
}

interface KnownTarget {
  config: Config;
  readonly state: TargetState;
}

export class TargetRegistry {
  readonly credentials: CredentialRegistry;
  readonly learners = new LimitLearners();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: LimitRegistry;
  readonly #places = new Map<string, KnownPlace>();
  readonly #targets = new Map<string, KnownTarget>();
  /** Keys of the targets that only callers have named. */
  readonly #unnamed = new RememberedNames(UNNAMED_TARGETS_MAX, (key) => this.#isBusy(key));
  /** Hears of every target that is made anew. */
  onMade: ((state: TargetState) => void) | null = null;

  constructor(clock: Clock, random: Random, limits: LimitRegistry, createSigner: CreateSigner) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
    this.credentials = new CredentialRegistry(random, createSigner);
  }

  /** One state for each credential of the provider. `holder`: who asks for a name that is not in the config; null: it is. */
  forModel(config: Config, provider: ProviderConfig, model: string, policy: TargetPolicy, holder: string | null): TargetState[] {
    const credentials = this.credentials.of(provider);
    return credentials.map((credential) => {
      const key = keyOf(`${provider.name}/${model}`, credential);
      this.#remember(key, holder);
      return this.#target(config, provider, model, policy, credential, credentials.length);
    });
  }

  /** Notes that a target is asked for by a name that is not in the config; false: it was forgotten, and is to be made again. */
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

  /** Those that the config names first. */
  all(): TargetState[] {
    const [named, unnamed]: [TargetState[], TargetState[]] = [[], []];
    for (const [key, { state }] of this.#targets) (this.#unnamed.has(key) ? unnamed : named).push(state);
    return named.concat(unnamed);
  }

  /** After a reload: targets of providers and keys that are gone are no longer shown; requests under way still hold theirs. */
  forgetOthers(config: Config): void {
    this.credentials.forgetOthers(config);
    const kept = new Set(Object.values(config.providers).flatMap((provider) => this.credentials.of(provider)));
    for (const [key, { state }] of this.#targets) if (!kept.has(state.credential as KeptCredential)) this.#forget(key, state);
    this.learners.keepOnly(new Set(this.all().map(({ rates }) => rates)));
  }

  /** Every credential's state of a target named `provider/model`. */
  named(name: string): TargetState[] {
    return this.all().filter((state) => state.name === name);
  }

  #target(
    config: Config,
    provider: ProviderConfig,
    model: string,
    policy: TargetPolicy,
    credential: KeptCredential,
    credentials: number,
  ): TargetState {
    const name = `${provider.name}/${model}`;
    const key = keyOf(name, credential);
    const known = this.#targets.get(key);
    // One state for a target, however many routes name it: within one config the first of them says how it is set.
    if (known?.config === config) return known.state;
    const place = this.#place(config, name, policy);
    const settings = this.#settings(config, provider, model, credential, credentials);
    place.shared.concurrency.configure(
      [provider.limits, provider.models[model]?.limits].some((limits) => limits?.concurrency !== undefined),
    );
    // A known target takes new settings over where it stands: requests under way and what was learned stay with it.
    const state: TargetState = Object.assign(
      known?.state ?? {
        health: new Health(),
        cooldown: this.#rateCooldown(provider, key, credential),
        inFlight: 0,
        rateLimitStreak: 0,
        shortfalls: {},
        rateLimitedAt: -Infinity,
      },
      place.shared,
      settings,
    );
    this.#targets.delete(key); // and in again: shown in the order of the config
    this.#targets.set(key, { config, state });
    if (known !== undefined) return state;
    place.targets++;
    this.onMade?.(state);
    return state;
  }

  /** What all credentials share; a changed setting makes a new breaker, which goes on from the old one. */
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
        found: new FoundWire(this.#clock),
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

  /** Where the preset says that all models of a key are limited together, one of them that is limited pauses all. */
  #rateCooldown(provider: ProviderConfig, key: string, credential: KeptCredential): Cooldown {
    return isLimitedWhole(provider) ? credential.cooldown : new Cooldown(`${key}:cooldown`, 'cooldown', this.#random);
  }

  #forget(key: string, { name }: TargetState): void {
    this.#targets.delete(key);
    this.#unnamed.remove(key);
    this.learners.forget(key);
    const place = this.#places.get(name);
    if (place !== undefined && --place.targets === 0) this.#places.delete(name);
  }

  /** What is learned of a key's limits belongs to the key, or to one model of it. */
  #rates(
    provider: ProviderConfig,
    key: string,
    credential: KeptCredential,
    own: LimitsConfig | undefined,
    shared: readonly LimitResource[],
    ownLimits: readonly LimitResource[],
  ): LimitLearner | null {
    if (credential.auth === 'caller') return null;
    if (isLimitedWhole(provider)) return this.learners.of(credential.id, provider, [provider.limits], shared);
    const limits = own === undefined ? [provider.limits] : [own, provider.limits];
    return this.learners.of(key, provider, limits, [...ownLimits, ...shared]);
  }

  #settings(config: Config, provider: ProviderConfig, model: string, credential: KeptCredential, credentials: number) {
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
      usesReasoning: isThinkingModel(model),
      includeUsage: provider.includeUsage && (protocol === 'openai' || protocol === 'local'),
      countsOutput: provider.countsOutput,
      countsCached: provider.countsCached,
      cooldownSubject: isLimitedWhole(provider) ? `${provider.name}#${number}` : credentials > 1 ? `${name}#${number}` : name,
      limits: [...shared, ...ownLimits],
      rates: this.#rates(provider, keyOf(name, credential), credential, own?.limits, shared, ownLimits),
      price: config.prices[name] ?? config.prices[model] ?? known?.price ?? null,
    };
  }
}

/** What the config sets itself goes before what a caller says. */
function forwardedTo({ apiKeys, headers, forwardHeaders }: ProviderConfig): ReadonlySet<string> {
  const names = [...FORWARDED_HEADERS, ...forwardHeaders];
  const isCaller = apiKeys === 'caller';
  return new Set(names.filter((name) => !Object.hasOwn(headers, name) && (isCaller || !ACCOUNT_HEADERS.has(name))));
}

/** Where its requests go. A model of our own is an address like any other. */
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

/** The model's name may hold anything, the id of the credential holds no space. */
function keyOf(name: string, credential: { readonly id: string }): string {
  return `${credential.id} ${name}`;
}

/** Of a provider without a preset nothing is known: there a limit concerns the model that was limited. */
function isLimitedWhole(provider: ProviderConfig): boolean {
  return provider.preset !== null && provider.limitScope === 'credential';
}

function breakerOptions({ breaker }: TargetPolicy) {
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
