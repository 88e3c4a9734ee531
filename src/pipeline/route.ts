/** What a request may be sent to: targets with their state, and routes over them. Made by `gateway`, run by the pipeline. */
import type { Instant } from '../core/clock.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { CredentialSigner } from '../transport/transport.ts';
import { speaks } from '../wire/conversion.ts';
import type { FoundWire, TargetWire } from '../wire/conversion.ts';
import type { Dialect } from '../wire/dialect.ts';
import type { BreakerState } from '../core/events.ts';
import type { Shortfall } from '../core/quality.ts';
import type { Operation } from '../core/request.ts';
import type { Capacity, Resource } from '../core/resource.ts';
import type { Source } from '../core/source.ts';
import type { CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import type { CachePolicy } from '../policy/cache/freshness.ts';
import type { AdaptiveConcurrency } from '../policy/concurrency-limiter/adaptive-concurrency.ts';
import type { Bench } from '../policy/cooldown/bench.ts';
import type { Cooldown } from '../policy/cooldown/cooldown.ts';
import type { HedgeBudget, HedgeQuantile, RescueBudget } from '../policy/hedge.ts';
import type { SilenceRecord } from '../policy/latency/silence.ts';
import type { RetryBudget } from '../policy/retry-budget.ts';
import type { FirstContentEstimate } from '../policy/selection/first-content.ts';
import type { RepairBook } from '../policy/repair/repair-book.ts';
import type { RefusalBook } from '../policy/second-opinion/refusal-book.ts';
import type { InputEstimate, OutputEstimate } from '../policy/token-estimate.ts';
import type { Health } from '../policy/selection/health.ts';
import type { Weighted } from '../policy/selection/selection.ts';
import type { TargetQuality } from './target-quality.ts';
import type { LimitLearner } from './limit-learner.ts';

/** The part of the policy that the pipeline acts on, resolved for one target of one route. Milliseconds and bytes. */
export interface RequestPolicy {
  /** `strict`: a target that would not get every field is not asked. */
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

/** One credential of a provider, with what is out of order for all its models. */
export interface Credential {
  /** Its place among the provider's keys, from 1: how people are told which one is meant. A reload may move it. */
  readonly number: number;
  /** Stays the same wherever the key stands in the list; tells nothing of the key. Not for people: `provider#0123abcd…`. */
  readonly id: string;
  /** Names and values in turn that authenticate a request; `caller`: the caller's own credential is sent. */
  readonly auth: readonly string[] | 'caller';
  /** Signs each request, beside `auth`; null: nothing does. */
  readonly signer: CredentialSigner | null;
  readonly bench: Bench;
}

/**
 * A place to send to, shared by all routes that name it: provider, model and credential, and its state. What an outage tells
 * (breaker, overload, silence, budgets) is the same object for all credentials of a provider's model.
 */
export interface TargetState {
  /** `provider/model`, as shown to people. */
  readonly name: string;
  readonly provider: string;
  readonly model: string;
  readonly credential: Credential;
  readonly origin: string;
  /** The path of the base URL, without a slash at its end. */
  readonly basePath: string;
  readonly endpoint: Endpoint;
  readonly wire: TargetWire;
  readonly found: FoundWire;
  /** Tokens of input that the model takes; null: not known. */
  readonly contextTokens: number | null;
  /** False: the model is known to call no tools. */
  readonly callsTools: boolean;
  /** The provider's own headers, names and values in turn. */
  readonly headers: readonly string[];
  readonly local: boolean;
  /** The operator's own server by its address: loopback, a private address, a bare name. */
  readonly ownServer: boolean;
  /** A model that runs on this machine, in this process or beside it: what it says stands in for a better model's answer. */
  readonly onThisMachine: boolean;
  /** A model that this process runs itself. */
  readonly runsHere: boolean;
  /** What it says stands in for an answer (a summary without a model): it is kept for nobody else. */
  readonly standsIn: boolean;
  /** The model is known to think before it answers. */
  readonly thinks: boolean;
  readonly includeUsage: boolean;
  /** The callers' headers that travel on to it, in lower case. */
  readonly forwards: ReadonlySet<string>;
  readonly countsOutput: boolean;
  /** Its limits are said to count input that it has cached like any other; see `countsCached`. */
  readonly countsCached: boolean;
  readonly breaker: CircuitBreaker;
  /** The pause that the target asked for, whoever calls. */
  readonly overload: Cooldown;
  /** The pause of a rate limit: of this credential and model, or of the whole credential where the preset says so. */
  readonly cooldown: Cooldown;
  /** What `cooldown` holds back, as told to people: `provider/model`, with `#number` where there are several keys, or `provider#number`. */
  readonly limitedAs: string;
  readonly limits: readonly Resource[];
  /** What is learned of its rate limits; null: the key is the caller's, and its limits are too. */
  readonly rates: LimitLearner | null;
  /** What is learned of how much it takes at once, whoever calls. */
  readonly concurrency: AdaptiveConcurrency;
  readonly input: InputEstimate;
  readonly output: OutputEstimate;
  readonly retryBudget: RetryBudget;
  readonly hedgeBudget: HedgeBudget;
  readonly rescueBudget: RescueBudget;
  readonly silence: SilenceRecord;
  readonly firstContent: FirstContentEstimate;
  readonly health: Health;
  /** What is learned of the edits that it refuses. */
  readonly repairs: RepairBook;
  /** Its refusals that no rule knows. */
  readonly refusals: RefusalBook;
  readonly price: { readonly input: number; readonly cachedInput: number; readonly cacheWrite: number; readonly output: number } | null;
  /** The state of the breaker that was last told in an event; one object for all credentials. */
  readonly told: { breaker: BreakerState };
  inFlight: number;
  /** Rate-limit answers in a row, for our own backoff where the provider names no wait. */
  rateLimitStreak: number;
  /** Answers that were not good enough, since the start. */
  readonly shortfalls: Partial<Record<Shortfall, number>>;
  /** When the last of them came: what had begun before it and is refused too belongs to it. */
  rateLimitedAt: Instant;
}

/** One target in a route's tier, with what is adapted for it there. */
export interface RouteTarget extends Capacity, Weighted {
  readonly state: TargetState;
  readonly tier: number;
  readonly set: Readonly<Record<string, unknown>>;
  readonly drop: readonly string[];
  readonly equivalent: boolean;
  /** It continues a partial answer given as the last message. */
  readonly prefill: boolean;
  readonly policy: RequestPolicy;
  readonly quality: TargetQuality;
}

export type Tiers = readonly (readonly RouteTarget[])[];

const VARIANTS_MAX = 256;

/** A model name as it is routed: tiers of weighted targets and the limits of one request. */
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

  /** True if no target needs a request of this dialect converted. */
  areAllSpeaking(dialect: Dialect): boolean {
    for (const tier of this.tiers) for (const { state } of tier) if (!speaks(dialect, state)) return false;
    return true;
  }

  /** The tiers that may carry an operation at all: vectors of another model would ruin an index silently. */
  tiersFor(operation: Operation, fallback: boolean): Tiers {
    if (operation !== 'embeddings') return fallback ? this.tiers : this.select('first', (target) => target.tier === 0);
    const model = this.tiers[0]![0]!.state.model;
    return this.select(fallback ? 'embeddings' : 'first embeddings', (target) => {
      return (fallback || target.tier === 0) && (target.state.model === model || target.equivalent);
    });
  }

  /** The tiers without the models on this machine that only stand in for others: a kept answer of those others is better. */
  beforeLocal(tiers: Tiers): Tiers {
    const first = tiers[0]![0]!;
    if (first.state.local) return tiers;
    const allowed = new Set(tiers.flat());
    const key = `before local ${[...allowed].map((target) => this.tiers.flat().indexOf(target)).join()}`;
    return this.select(key, (target) => allowed.has(target) && (target.tier === first.tier || !target.state.local));
  }

  /** The tiers with only the targets that `keep` allows: the same array for the same key, so that waiting requests share a lane. */
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

/** Repeats come last; but while a better tier is untried, whatever is asked again comes before a last resort. */
function placeFor(tiers: Tiers): number {
  const lastResort = tiers.findIndex((tier) => tier.every((target) => target.isLastResort === true));
  return lastResort > 0 ? lastResort : tiers.length;
}

/** True if something other than a limit keeps the target from answering this source now. */
export function isOutOfOrder(target: RouteTarget, now: Instant, source?: Source): boolean {
  const { state } = target;
  return pausedMs(state, now) > 0 || isKeyOutOfOrder(state, now, source) || state.breaker.earliest(now) !== now;
}

/** Quarantined, though a trial may be allowed now, or on trial. */
export function isKeyOutOfOrder({ credential: { bench }, model }: TargetState, now: Instant, source?: Source): boolean {
  return bench.isOutFor(now, source?.client, model);
}

/** True if a target is a model on this machine beside one that is elsewhere: quicker and worse. */
export function isStandInFor(target: RouteTarget, other: RouteTarget): boolean {
  return target.state.onThisMachine && !other.state.onThisMachine;
}

/** How long the target, or this credential's rate limit, asked not to be called, in milliseconds; 0: not at all. */
export function pausedMs(state: TargetState, now: Instant): number {
  return Math.max(state.cooldown.remainingMs(now), state.overload.remainingMs(now));
}

/** Whether the limits of the target count input that it has cached: as found out, else as its preset says. */
export function countsCached(state: TargetState): boolean {
  return state.rates === null ? state.countsCached : state.rates.cached.counts;
}
