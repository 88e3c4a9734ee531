/** Targets whose provider has a batch API of its own at half the price. */
import type { Random } from '../core/random.ts';
import type { NativeHost, NativeOwner, NativeTarget } from '../jobs/native/native-host.ts';
import { CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import { Cooldown } from '../policy/cooldown/cooldown.ts';
import { HedgeBudget, RescueBudget } from '../policy/hedge.ts';
import { SilenceRecord } from '../policy/latency/silence.ts';
import { RetryBudget } from '../policy/retry-budget.ts';
import { FirstContentEstimate } from '../policy/selection/first-content.ts';
import { Health } from '../policy/selection/health.ts';
import { isKeyOutOfOrder } from '../pipeline/route/route.ts';
import type { Route, RouteTarget, TargetState } from '../pipeline/route/route.ts';
import type { Transport } from '../transport/transport.ts';
import type { Gateway } from './gateway.ts';
import { createTargetLearning } from './learning.ts';
import { breakerOptions } from './targets.ts';

export interface NativeParts {
  readonly gateway: Gateway;
  readonly random: Random;
  readonly transport: Transport;
  /** Null: there is no such model. */
  readonly routeOf: (model: string) => Route | null;
}

export class NativeTargets implements NativeHost {
  readonly transport: Transport;
  readonly #parts: NativeParts;
  readonly #states = new WeakMap<TargetState, TargetState>();

  constructor(parts: NativeParts) {
    this.#parts = parts;
    this.transport = parts.transport;
  }

  isOn(): boolean {
    return this.#parts.gateway.config.batch.native === 'prefer';
  }

  find(model: string): NativeTarget | null {
    const now = this.#parts.gateway.clock.now();
    const works = ({ state }: RouteTarget): boolean => !isKeyOutOfOrder(state, now) && state.breaker.state !== 'isolated';
    return this.#find(model, works);
  }

  findOwner(model: string, { target, credential }: NativeOwner): NativeTarget | null {
    return this.#find(model, ({ state }) => state.name === target && state.credential.id === credential);
  }

  /** Of the first tier, as calls that nothing keeps from their first choice. */
  #find(model: string, isWanted: (target: RouteTarget) => boolean): NativeTarget | null {
    for (const target of this.#parts.routeOf(model)?.tiers[0] ?? []) {
      const api = this.#apiOf(target.state);
      if (api !== null && isWanted(target)) return { api, target: { ...target, state: this.#stateOf(target), resources: [] } };
    }
    return null;
  }

  #apiOf({ provider, credential, wire }: TargetState): NativeTarget['api'] | null {
    const { nativeBatches, endpoint } = this.#parts.gateway.config.providers[provider] ?? {};
    if (nativeBatches !== true || endpoint !== 'direct' || credential.auth === 'caller') return null;
    if (wire.dialect.name === 'anthropic-messages') return 'anthropic';
    return wire.dialect.name.startsWith('openai-') ? 'openai' : null;
  }

  /** The same target with a state of its own: a result that is read says nothing about calls. What a reload changes is read from the original. */
  #stateOf({ state }: RouteTarget): TargetState {
    const known = this.#states.get(state);
    if (known !== undefined) return known;
    const { gateway, random } = this.#parts;
    const name = `${state.name}:batch`;
    const own: Partial<TargetState> = {
      breaker: new CircuitBreaker(`${name} breaker`, breakerOptions(gateway.config.policy), random),
      overload: new Cooldown(`${name} overload`, 'cooldown', random),
      cooldown: new Cooldown(`${name} cooldown`, 'cooldown', random),
      limits: [],
      rates: null,
      ...createTargetLearning(name),
      input: state.input,
      output: state.output,
      retryBudget: new RetryBudget(gateway.config.policy.retry.budget, gateway.clock.now()),
      hedgeBudget: new HedgeBudget(),
      rescueBudget: new RescueBudget(),
      silence: new SilenceRecord(),
      firstContent: new FirstContentEstimate(),
      health: new Health(),
      emitted: { breaker: 'closed' },
      inFlight: 0,
      rateLimitStreak: 0,
      rateLimitedAt: -Infinity,
    };
    const made = Object.assign(Object.create(state) as TargetState, own);
    this.#states.set(state, made);
    return made;
  }
}
