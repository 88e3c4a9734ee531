/** The state of everything that can be sent to, made from the config and kept over reloads. */
import { hash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import { Cooldown } from '../policy/cooldown/cooldown.ts';
import { SilenceRecord } from '../policy/latency/silence.ts';
import { RetryBudget } from '../policy/retry-budget.ts';
import { Health } from '../policy/selection/health.ts';
import type { Credential, TargetState } from '../pipeline/route.ts';
import { isThinkingModel } from './config/index.ts';
import type { Config, Policy, ProviderConfig } from './config/index.ts';
import type { LimitRegistry } from './limits.ts';

/** Beyond this many, targets that were made for names nobody configured are forgotten, the oldest first. */
const TARGETS_MAX = 10_000;

/** The part of a policy that belongs to the target, whatever route it is asked through. */
type TargetPolicy = Pick<Policy, 'breaker' | 'retry'>;

export class TargetRegistry {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: LimitRegistry;
  readonly #targets = new Map<string, { config: Config; settings: string; state: TargetState }>();
  /** Keys of the targets that the config itself names: they are never forgotten to make room. */
  readonly #configured = new Set<string>();
  readonly #benches = new Map<string, Cooldown>();
  /** Hears of every target that is made anew. */
  onMade: ((state: TargetState) => void) | null = null;

  constructor(clock: Clock, random: Random, limits: LimitRegistry) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
  }

  /** One state for each credential of the provider. */
  forModel(config: Config, provider: ProviderConfig, model: string, policy: TargetPolicy): TargetState[] {
    const auths: Credential['auth'][] =
      provider.apiKeys === 'caller' ? ['caller'] : provider.apiKeys.map((key) => authHeaders(provider, key));
    if (auths.length === 0) auths.push([]); // a server that asks for no key
    return auths.map((auth, i) => this.#target(config, provider, model, policy, auth, i + 1));
  }

  /** These are named in the config, and stay whatever names callers invent. */
  keep(states: readonly TargetState[]): void {
    for (const state of states) this.#configured.add(`${state.name}#${state.credential.number}`);
  }

  all(): TargetState[] {
    return [...this.#targets.values()].map((known) => known.state);
  }

  /** After a reload: targets of providers that are gone are no longer shown; requests under way still hold theirs. */
  forgetOthers(config: Config): void {
    for (const [key, { state }] of this.#targets) if (config.providers[state.provider] === undefined) this.#targets.delete(key);
  }

  /** Every credential's state of a target named `provider/model`. */
  named(name: string): TargetState[] {
    return this.all().filter((state) => state.name === name);
  }

  benches(): IterableIterator<[string, Cooldown]> {
    return this.#benches.entries();
  }

  /** The bench of a credential, made if it is not there yet. */
  bench(id: string): Cooldown {
    let bench = this.#benches.get(id);
    if (bench === undefined) this.#benches.set(id, (bench = new Cooldown(`${id}:bench`, 'bench', this.#random)));
    return bench;
  }

  #target(
    config: Config,
    provider: ProviderConfig,
    model: string,
    policy: TargetPolicy,
    auth: Credential['auth'],
    number: number,
  ): TargetState {
    const name = `${provider.name}/${model}`;
    const key = `${name}#${number}`;
    const known = this.#targets.get(key);
    // One state for a target, however many routes name it: within one config the first of them says how its breaker is set.
    if (known?.config === config) return known.state;
    const price = config.prices[name] ?? config.prices[model] ?? null;
    const settings = JSON.stringify([provider, policy.breaker, policy.retry.budget, price]);
    if (known?.settings === settings) {
      known.config = config;
      return known.state;
    }
    if (known === undefined && this.#targets.size >= TARGETS_MAX) this.#forgetOne();
    const bench = this.bench(`${provider.name}#${number}${fingerprint(auth)}`);
    const secrets = auth === 'caller' || auth.length === 0 ? [] : [auth[1]!.replace(/^Bearer /, '')];
    const state = { ...this.#make(provider, name, model, policy, { number, auth, bench, secrets }), price };
    if (known !== undefined) this.#carryOver(known.state, state);
    else this.onMade?.(state);
    this.#targets.set(key, { config, settings, state });
    return state;
  }

  /** Forgets the oldest target that no configured route names and that nothing is known of. */
  #forgetOne(): void {
    const now = this.#clock.now();
    for (const [key, { state }] of this.#targets) {
      const isIdle = state.inFlight === 0 && state.breaker.state === 'closed' && state.cooldown.remainingMs(now) === 0;
      if (!isIdle || this.#configured.has(key)) continue;
      this.#targets.delete(key);
      return;
    }
  }

  #make(provider: ProviderConfig, name: string, model: string, policy: TargetPolicy, credential: Credential): Omit<TargetState, 'price'> {
    const url = new URL(provider.baseUrl);
    const key = `${name}#${credential.number}`;
    const own = provider.models[model];
    return {
      name,
      provider: provider.name,
      model,
      credential,
      origin: url.origin,
      basePath: url.pathname.replace(/\/+$/, ''),
      headers: ['user-agent', 'breakwater', 'accept-encoding', 'identity', ...Object.entries(provider.headers).flat()],
      local: provider.local,
      thinks: isThinkingModel(model),
      includeUsage: provider.includeUsage,
      countsOutput: provider.countsOutput,
      breaker: new CircuitBreaker(`${key}:breaker`, breakerOptions(policy), this.#random),
      cooldown: new Cooldown(`${key}:cooldown`, 'cooldown', this.#random),
      limits: [
        ...this.#limits.make(`${provider.name}#${credential.number}`, provider.limits),
        ...(own === undefined ? [] : this.#limits.make(key, own.limits)),
      ],
      retryBudget: new RetryBudget(policy.retry.budget, this.#clock.now()),
      silence: new SilenceRecord(),
      health: new Health(),
      toldBreaker: 'closed',
      inFlight: 0,
      rateLimitStreak: 0,
    };
  }

  /** A target whose settings changed is another object; what held it back still does. */
  #carryOver(from: TargetState, to: TargetState): void {
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    const record = from.breaker.save(now, epochMs);
    if (record !== null) to.breaker.restore(now, epochMs, record);
    const coolingMs = from.cooldown.remainingMs(now);
    if (coolingMs > 0) to.cooldown.coolUntil(now + coolingMs, from.cooldown.kind);
  }
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

/** Tells keys apart without telling what they are: a bench belongs to the key, not to its place in the list. */
function fingerprint(auth: Credential['auth']): string {
  return auth === 'caller' || auth.length === 0 ? '' : `:${hash('sha256', auth.join(), 'hex').slice(0, 8)}`;
}

/** Names and values in turn that authenticate a request to the provider. */
export function authHeaders(provider: ProviderConfig, key: string): string[] {
  return provider.auth === 'bearer' ? ['authorization', `Bearer ${key}`] : [provider.auth, key];
}
