/** Requests permits from the scheduler. */
import type { Instant } from '../../core/clock.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Need, Resource } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import { costOf } from '../../core/price.ts';
import { silenceShareMs } from '../../policy/latency/silence.ts';
import { OUTPUT_FIRST } from '../../policy/token-estimate.ts';
import { refusal } from '../../policy/scheduler/refusal.ts';
import type { AdmissionResult, RouteApplicant } from '../admission/admission.ts';
import { responseKind } from '../request/response-kind.ts';
import { callKindOf } from '../request/call-kind.ts';
import { holderOf } from '../request/gateway-request.ts';
import { withAffinityFirst } from '../admission/affinity.ts';
import { makersAmong } from '../opaque/preference.ts';
import { noteSkipped } from '../admission/skipped-breakers.ts';
import { countsCached, isOutOfOrder, pausedMs } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { RetryState } from './retry-state.ts';

const NO_RESOURCES: readonly Resource[] = [];

/** Share of `queue.maxWait` spent waiting for better tiers before a last resort is used. */
const LAST_RESORT_SHARE = 0.9;

export class RequestApplicant implements RouteApplicant {
  readonly class: SchedulingClass;
  readonly client: string;
  readonly session: string | null;
  readonly isSide: boolean;
  readonly #waitUntil: Instant;
  #startBy: Instant | null = null;
  #usualMs: number | null = null;
  #preferred: readonly RouteTarget[] | null = null;
  waiting: object | null = null;
  resolve: RouteApplicant['resolve'] = null;
  tiers: Tiers;
  readonly #patienceMs: number;
  readonly maxCooldownWaitMs: number;
  readonly own: readonly Resource[];
  readonly #retry: RetryState;
  /** When a last resort may start, for lack of a better tier. */
  readonly #betterTiersUntil: Instant;
  /** Reserved of the budget for earlier attempts, which have ended. */
  protected readonly reservedUsd: number;
  readonly #hasLastResort: boolean;
  /** Its need on the first target evaluated; `#others` has those on further targets. Constant while it waits. */
  #need: Need | null = null;
  #needOf: RouteTarget | null = null;
  #others: Map<RouteTarget, Need> | null = null;

  constructor(retry: RetryState, tiers: Tiers, waitUntil: Instant, now: Instant = retry.active.engine.clock.now()) {
    const { active } = retry;
    const { request, route } = active;
    this.#retry = retry;
    this.class = active.priority;
    this.client = holderOf(request.client);
    this.session = request.sessionKey;
    this.isSide = request.isSide === true;
    this.#waitUntil = waitUntil;
    this.tiers = tiers;
    this.own = ownResources(retry);
    this.reservedUsd = active.reservedUsd;
    // A fallback needs time too: at most half of the time left is spent on waiting for a better tier.
    this.#patienceMs = Math.min(route.patienceMs, (waitUntil - now) / 2);
    this.#hasLastResort = tiers.at(-1)?.every((target) => target.isLastResort === true) === true;
    this.#betterTiersUntil = now + route.maxWaitMs * LAST_RESORT_SHARE;
    this.maxCooldownWaitMs = route.policy.retry.maxRetryAfter;
  }

  get patienceMs(): number {
    return this.#isOverBudget() ? 0 : this.#patienceMs;
  }

  get model(): string {
    return this.#retry.active.route.name;
  }

  get kind(): number {
    return responseKind(this.#retry.active.request.facts);
  }

  /** The latest start that leaves time for the response; the scheduler orders by it. */
  get deadline(): Instant {
    return (this.#startBy ??= Math.min(this.#retry.active.deadline, this.#retry.active.requiredBy) - this.usualMs);
  }

  get waitUntil(): Instant {
    return Math.min(this.#waitUntil, this.#retry.active.deadline - this.usualMs);
  }

  /**
   * The usual duration of a response from its fastest target, in milliseconds; 0: unknown. With several targets an attempt may use only a
   * share of the remaining time, so that more is needed.
   */
  get usualMs(): number {
    return (this.#usualMs ??= this.#computeUsualMs());
  }

  #computeUsualMs(): number {
    const { facts } = this.#retry.active.request;
    let least = Infinity;
    for (const tier of this.tiers) {
      for (const { state } of tier) {
        least = Math.min(least, state.silence.usualMs(callKindOf(facts, state)));
        if (least === 0) return 0;
      }
    }
    const isAlone = this.tiers.length === 1 && this.tiers[0]!.length === 1;
    return isAlone || this.isLast ? least : least / silenceShareMs(1);
  }

  get lastResortAt(): Instant {
    return Math.min(this.#retry.standInStart, this.#betterTiersUntil);
  }

  get source(): Source {
    return this.#retry.active.source;
  }

  get affinityKey(): string | null {
    return this.#retry.active.request.sessionKey;
  }

  get preferred(): readonly RouteTarget[] {
    return (this.#preferred ??= makersAmong(this.#retry.active.engine, this.#retry.active.request, this.#retry.tiers));
  }

  get isLast(): boolean {
    return this.#retry.attemptsLeft <= 1;
  }

  needOn(target: RouteTarget): Need {
    if (this.#needOf === target) return this.#need!;
    if (this.#needOf === null) {
      this.#needOf = target;
      return (this.#need = this.#computeNeed(target));
    }
    this.#others ??= new Map();
    let need = this.#others.get(target);
    if (need === undefined) this.#others.set(target, (need = this.#computeNeed(target)));
    return need;
  }

  #computeNeed(target: RouteTarget): Need {
    const { state } = target;
    const { request, source } = this.#retry.active;
    const now = this.#now();
    const { facts, client } = request;
    const guess = hasOutput(facts.operation) ? state.output.of(client.name) : 0;
    const bound = facts.outputBound;
    // A provider that counts output limits also counts requests without one, by an unknown value: at least the initial estimate.
    const counted = bound ?? (guess === 0 ? 0 : Math.max(OUTPUT_FIRST, guess));
    const inputTokens = state.input.of(facts.inputTokens, countsCached(state));
    const outputTokens = state.countsOutput ? counted : Math.min(bound ?? Infinity, guess);
    return {
      requests: 1,
      inputTokens,
      outputTokens,
      ...(client.budget !== undefined && { usd: Math.max(0, estimatedUsd(target, inputTokens, outputTokens) - this.reservedUsd) }),
      source,
      model: state.model,
      hasNoAlternative:
        pausedMs(state, now) > 0 && this.tiers.every((tier) => tier.every((other) => other === target || isOutOfOrder(other, now, source))),
    };
  }

  /** True if the budget of its client has no room for it on any target. */
  #isOverBudget(): boolean {
    const { clientPermit, request } = this.#retry.active;
    const { budget } = request.client;
    if (budget === undefined || clientPermit !== null) return false;
    const now = this.#now();
    return this.tiers.every((tier) => tier.every((target) => target.isOverBudget === true || budget.isOver(now, this.needOn(target))));
  }

  /** A retry does not wait until its budget has room for a dearer target. */
  #isBeyondBudget(target: RouteTarget): boolean {
    const { active } = this.#retry;
    const { budget } = active.request.client;
    return budget !== undefined && active.clientPermit !== null && budget.isOver(this.#now(), this.needOn(target));
  }

  notBefore(target: RouteTarget): Instant {
    const retry = this.#retry;
    // Where a last resort could still respond, a better target with too little time is excluded.
    if (this.#hasLastResort && target.isLastResort !== true && this.#now() > retry.latestStartOn(target)) return Infinity;
    if (target.isOverBudget === true && !this.#isOverBudget()) return Infinity;
    if (this.#isBeyondBudget(target)) return Infinity;
    const own = retry.tried.notBefore(target);
    const { quarantine } = target.state.credential;
    if (!quarantine.isInDoubtFor(this.source.client, target.state.model)) return own;
    const now = this.#now();
    // A trial during a quarantine is for requests without an alternative.
    const leftMs = quarantine.remainingMs(now);
    return leftMs > 0 && hasOtherInOrder(this.tiers, target, now, this.source) ? Math.max(own, now + leftMs) : own;
  }

  /** Read where it is needed only: most evaluations do not depend on it. */
  #now(): Instant {
    return this.#retry.active.engine.clock.now();
  }
}

/** The client's limits count a request once; its budget has to have room for every target. */
function ownResources({ active }: RetryState): readonly Resource[] {
  const { resources, budget } = active.request.client;
  if (active.clientPermit === null) return resources;
  return budget === undefined ? NO_RESOURCES : [budget];
}

/** What a request reserves of its client's budget. Calls without a price are free there. */
function estimatedUsd({ state: { price }, isOverBudget }: RouteTarget, inputTokens: number, outputTokens: number): number {
  return price === null || isOverBudget === true ? 0 : costOf(price, { inputTokens, cachedInputTokens: 0, outputTokens });
}

function hasOtherInOrder(tiers: Tiers, target: RouteTarget, now: Instant, source: Source): boolean {
  return tiers.some((tier) => tier.some((other) => other !== target && !other.state.runsHere && !isOutOfOrder(other, now, source)));
}

function hasOutput(operation: string): boolean {
  return operation === 'chat' || operation === 'completions';
}

/** Requests a permit on one of `tiers`, waiting until `waitUntil` at most. */
export function requestPermit(retry: RetryState, tiers: Tiers, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  const { active } = retry;
  if (active.isOver) return { kind: 'cancelled' };
  const { admission, clock } = active.engine;
  const now = clock.now();
  const applicant = new RequestApplicant(retry, tiers, Math.min(waitUntil, active.deadline), now);
  applicant.tiers = withAffinityFirst(tiers, applicant, now, applicant.patienceMs);
  if (active.deadline <= now) return refusal('expired', applicant, now);
  const decision = admission.submit(applicant, now);
  const mayProbeSooner = retry.attempts === 0 && noteSkipped(applicant.tiers, decision.kind === 'start' ? decision : null);
  // The pump resolves waiting applicants, so this one must be registered first.
  if (decision.kind === 'wait') return waitFor(retry, applicant, clock.now());
  if (mayProbeSooner) admission.pump();
  return decision;
}

async function waitFor(retry: RetryState, applicant: RequestApplicant, since: Instant): Promise<AdmissionResult> {
  const { active } = retry;
  const { admission, clock, events } = active.engine;
  const blockers = refusal('infeasible', applicant, since).blockers;
  active.applicant = applicant;
  active.wake = () => admission.withdraw(applicant);
  const waiting = admission.wait(applicant);
  events.emit({ type: 'queued', requestId: active.request.id, at: since, blockers });
  admission.pump();
  const result = await waiting;
  active.wake = active.applicant = null;
  active.queueMs += clock.now() - since;
  return result;
}
