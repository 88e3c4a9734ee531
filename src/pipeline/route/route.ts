/** Routes over targets, and the state of targets. Built by `gateway`, used by the pipeline. */
import type { Price, PriceBasis } from '../../core/price.ts';
import type { Instant } from '../../core/clock.ts';
import type { Endpoint } from '../../endpoint/endpoint.ts';
import type { CredentialSigner } from '../../transport/transport.ts';
import { speaks } from '../../wire/conversion.ts';
import type { DetectedSupport, TargetWire } from '../../wire/conversion.ts';
import type { Dialect } from '../../wire/dialect.ts';
import type { BreakerState } from '../../core/events.ts';
import type { FailedQualityCheck } from '../../core/quality.ts';
import type { Operation } from '../../core/request.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import type { CircuitBreaker } from '../../policy/circuit-breaker/circuit-breaker.ts';
import type { CachePolicy } from '../../policy/cache/freshness.ts';
import type { AdaptiveConcurrency } from '../../policy/concurrency-limiter/adaptive-concurrency.ts';
import type { Quarantine } from '../../policy/cooldown/quarantine.ts';
import type { Cooldown } from '../../policy/cooldown/cooldown.ts';
import type { HedgeBudget, HedgeQuantile, RescueBudget } from '../../policy/hedge.ts';
import type { SilenceRecord } from '../../policy/latency/silence.ts';
import type { RetryBudget } from '../../policy/retry-budget.ts';
import type { FirstContentEstimate } from '../../policy/selection/first-content.ts';
import type { KnownRepairs } from '../../policy/repair/known-repairs.ts';
import type { ConfirmedRefusals } from '../../policy/second-opinion/confirmed-refusals.ts';
import type { InputEstimate, OutputEstimate } from '../../policy/token-estimate.ts';
import type { Health } from '../../policy/selection/health.ts';
import type { Weighted } from '../../policy/selection/selection.ts';
import type { TargetQuality } from './target-quality.ts';
import type { LimitLearner } from './limit-learner.ts';

/** The part of the policy that the pipeline applies, resolved for one target of one route. Milliseconds and bytes. */
export interface RequestPolicy {
  /** `strict`: a target that would lose a field of the request is excluded. */
  readonly conversion: 'drop' | 'strict';
  readonly timeouts: {
    readonly connect: number;
    readonly headers: number | 'auto';
    readonly firstContent: number | 'auto';
    readonly idle: number;
    readonly attempt: number;
  };
  readonly retry: { readonly baseDelay: number; readonly maxDelay: number; readonly maxRetryAfter: number };
  readonly hedge: { readonly enabled: boolean; readonly delay: number | HedgeQuantile; readonly budget: number };
  readonly stream: { readonly keepAlive: number; readonly maxEventSize: number; readonly recover: 'off' | 'continue' };
  readonly cache: CachePolicy;
}

/** One credential of a provider, with its quarantine for all models. */
export interface Credential {
  /** Its position among the provider's keys, from 1, as shown to operators. A reload may change it. */
  readonly number: number;
  /** Independent of the position of the key, and reveals nothing of it. For internal use: `provider#0123abcd…`. */
  readonly id: string;
  /** Header names alternating with values that authenticate a request; `caller`: the caller's own credential is sent. */
  readonly auth: readonly string[] | 'caller';
  /** Signs each request, beside `auth`; null: nothing does. */
  readonly signer: CredentialSigner | null;
  readonly quarantine: Quarantine;
}

/**
 * A provider, model and credential with their state, shared by all routes that name them. State about outages (breaker, overload, silence,
 * budgets) is the same object for all credentials of a provider's model.
 */
export interface TargetState {
  /** `provider/model`, as shown to operators. */
  readonly name: string;
  readonly provider: string;
  readonly model: string;
  readonly credential: Credential;
  readonly origin: string;
  /** The path of the base URL, without a trailing slash. */
  readonly basePath: string;
  readonly endpoint: Endpoint;
  readonly wire: TargetWire;
  readonly found: DetectedSupport;
  /** Size of the model's context window in tokens; null: unknown. */
  readonly contextTokens: number | null;
  /** False: the model is known not to support tools. */
  readonly callsTools: boolean;
  /** The provider's configured headers: names alternating with values. */
  readonly headers: readonly string[];
  readonly local: boolean;
  /** The operator's own server, judged by its address: loopback, a private address, a bare name. */
  readonly ownServer: boolean;
  /** A model on this machine, in this process or beside it: a stand-in for better models elsewhere. */
  readonly onThisMachine: boolean;
  /** A model that runs in this process. */
  readonly runsHere: boolean;
  /** Its output only stands in for a response (a summary without a model), and is never cached. */
  readonly standsIn: boolean;
  /** A reasoning model. */
  readonly usesReasoning: boolean;
  readonly includeUsage: boolean;
  /** Caller headers that are forwarded, in lower case. */
  readonly forwards: ReadonlySet<string>;
  readonly countsOutput: boolean;
  /** The preset's word on whether its limits count cached input; see `countsCached`. */
  readonly countsCached: boolean;
  readonly breaker: CircuitBreaker;
  /** A pause that the target requested, for all callers. */
  readonly overload: Cooldown;
  /** A rate-limit pause: of this credential and model, or of the whole credential where the preset says so. */
  readonly cooldown: Cooldown;
  /** The subject of `cooldown`, as shown to operators: `provider/model`, with `#number` if there are several keys, or `provider#number`. */
  readonly cooldownSubject: string;
  readonly limits: readonly Resource[];
  /** Its learned rate limits; null: the key, and so the limits, are the caller's. */
  readonly rates: LimitLearner | null;
  /** Its learned concurrency limit, for all callers. */
  readonly concurrency: AdaptiveConcurrency;
  readonly input: InputEstimate;
  readonly output: OutputEstimate;
  readonly retryBudget: RetryBudget;
  readonly hedgeBudget: HedgeBudget;
  readonly rescueBudget: RescueBudget;
  readonly silence: SilenceRecord;
  readonly firstContent: FirstContentEstimate;
  readonly health: Health;
  /** Learned repairs: edits that the target refuses. */
  readonly repairs: KnownRepairs;
  /** Refusals that match no rule. */
  readonly refusals: ConfirmedRefusals;
  /** Null: not known. */
  readonly price: Price | null;
  readonly priceBasis: PriceBasis;
  /** The breaker state last emitted; one object for all credentials. */
  readonly emitted: { breaker: BreakerState };
  inFlight: number;
  /** Consecutive rate-limit refusals, for the default backoff where the provider names no wait. */
  rateLimitStreak: number;
  /** Responses that failed a quality check, since the start. */
  readonly failedQualityChecks: Partial<Record<FailedQualityCheck, number>>;
  /** Time of the last rate-limit refusal: refused calls that started before it belong to the same one. */
  rateLimitedAt: Instant;
}

/** One target in a tier of a route, with its adaptations. */
export interface RouteTarget extends Capacity, Weighted {
  readonly state: TargetState;
  readonly tier: number;
  readonly set: Readonly<Record<string, unknown>>;
  readonly drop: readonly string[];
  readonly equivalent: boolean;
  /** The model continues a partial response given as the last message. */
  readonly prefill: boolean;
  readonly policy: RequestPolicy;
  readonly quality: TargetQuality;
  /** True: only for requests that the budget of their client has no room for, and not charged to it in advance. */
  readonly isOverBudget?: boolean;
}

export type Tiers = readonly (readonly RouteTarget[])[];

const VARIANTS_MAX = 256;

/** A routed model name: tiers of weighted targets, and the limits of one request. */
export class Route {
  readonly name: string;
  readonly tiers: Tiers;
  readonly patienceMs: number;
  readonly deadlineMs: number;
  readonly maxAttempts: number;
  readonly maxWaitMs: number;
  readonly policy: RequestPolicy;
  readonly #variants = new Map<string, Tiers>();

  constructor(parts: {
    name: string;
    tiers: Tiers;
    patienceMs: number;
    deadlineMs: number;
    maxAttempts: number;
    maxWaitMs: number;
    policy: RequestPolicy;
  }) {
    this.name = parts.name;
    this.tiers = parts.tiers;
    this.patienceMs = parts.patienceMs;
    this.deadlineMs = parts.deadlineMs;
    this.maxAttempts = parts.maxAttempts;
    this.maxWaitMs = parts.maxWaitMs;
    this.policy = parts.policy;
  }

  /** The same route with a last tier of `target`, for requests that the budget of their client has no room for. */
  withOverBudget(target: RouteTarget): Route {
    const last: RouteTarget = { ...target, tier: this.tiers.length, isOverBudget: true };
    const { name, patienceMs, deadlineMs, maxAttempts, maxWaitMs, policy } = this;
    return new Route({ name, tiers: [...this.tiers, [last]], patienceMs, deadlineMs, maxAttempts, maxWaitMs, policy });
  }

  /** True if no target needs a request of this dialect converted. */
  areAllSpeaking(dialect: Dialect): boolean {
    for (const tier of this.tiers) for (const { state } of tier) if (!speaks(dialect, state)) return false;
    return true;
  }

  /** The tiers that may serve an operation: vectors of another model would corrupt an index silently. */
  tiersFor(operation: Operation, fallback: boolean): Tiers {
    if (operation !== 'embeddings') return fallback ? this.tiers : this.select('first', (target) => target.tier === 0);
    const model = this.tiers[0]![0]!.state.model;
    return this.select(fallback ? 'embeddings' : 'first embeddings', (target) => {
      return (fallback || target.tier === 0) && (target.state.model === model || target.equivalent);
    });
  }

  /** The tiers without local stand-ins: an expired cached response of a better model is preferred to them. */
  withoutLocalStandIns(tiers: Tiers): Tiers {
    const first = tiers[0]![0]!;
    if (first.state.local) return tiers;
    const allowed = new Set(tiers.flat());
    const key = `before local ${[...allowed].map((target) => this.tiers.flat().indexOf(target)).join()}`;
    return this.select(key, (target) => allowed.has(target) && (target.tier === first.tier || !target.state.local));
  }

  /** The tiers restricted to targets that `keep` accepts; the same array for the same key, so that waiting requests share a queue. */
  select(key: string, keep: (target: RouteTarget) => boolean, last: readonly RouteTarget[] = []): Tiers {
    const known = this.#variants.get(key);
    if (known !== undefined) return known;
    if (this.#variants.size >= VARIANTS_MAX) this.#variants.clear();
    const tiers: (readonly RouteTarget[])[] = this.tiers.map((tier) => tier.filter(keep)).filter((tier) => tier.length > 0);
    if (last.length > 0) tiers.splice(placeFor(tiers), 0, last);
    this.#variants.set(key, tiers);
    return tiers;
  }
}

/** Retries come last, but before a last resort while a better tier is untried. */
function placeFor(tiers: Tiers): number {
  const lastResort = tiers.findIndex((tier) => tier.every((target) => target.isLastResort === true));
  return lastResort > 0 ? lastResort : tiers.length;
}

/** True if something other than a limit keeps the target from serving this source now. */
export function isOutOfOrder(target: RouteTarget, now: Instant, source?: Source): boolean {
  const { state } = target;
  return pausedMs(state, now) > 0 || isKeyOutOfOrder(state, now, source) || state.breaker.earliest(now) !== now;
}

/** Quarantined or on trial, even if a trial may be allowed now. */
export function isKeyOutOfOrder({ credential: { quarantine }, model }: TargetState, now: Instant, source?: Source): boolean {
  return quarantine.isOutFor(now, source?.client, model);
}

/** True if a target runs on this machine and `other` does not: faster and worse. */
export function isStandInFor(target: RouteTarget, other: RouteTarget): boolean {
  return target.state.onThisMachine && !other.state.onThisMachine;
}

/** The remaining pause of the target or of this credential's rate limit, in milliseconds; 0: none. */
export function pausedMs(state: TargetState, now: Instant): number {
  return Math.max(state.cooldown.remainingMs(now), state.overload.remainingMs(now));
}

/** Whether the limits of the target count cached input: as learned, otherwise as its preset says. */
export function countsCached(state: TargetState): boolean {
  return state.rates === null ? state.countsCached : state.rates.cached.counts;
}
