/** The attempts of one request so far, and the targets left to it. */
import type { HeaderPairs } from '../../core/headers.ts';
import type { Instant } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import type { Reason } from '../../core/outcome.ts';
import type { Judgement } from '../../policy/verdict.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Alternative, Alternatives } from '../attempt/attempt-options.ts';
import { capableOf, isCarriedAtOnce, whyIncapable, without } from '../conversion/capability.ts';
import type { Incapable } from '../conversion/capability.ts';
import type { Admitted } from '../admission/admission.ts';
import { holdingOnly } from '../opaque/preference.ts';
import { callKindOf } from '../request/call-kind.ts';
import { isOutOfOrder, isStandInFor } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import { TriedTargets } from './tried-targets.ts';

/** The share of the deadline reserved for a last resort: 1 / `STAND_IN_PART`. */
const STAND_IN_PART = 10;

/** A failed attempt, for later decisions and the final error. */
export interface FailedAttempt {
  readonly target: RouteTarget;
  readonly failure: Failure;
  readonly judgement: Judgement;
  /** The provider's own id of the request. */
  readonly upstreamId: string | null;
  /** Response headers about the caller's own account; absent unless the caller's own credential was used. */
  readonly account?: HeaderPairs;
  /** Ended by the caller's deadline, or by the attempt's share of it. */
  readonly ranOut: boolean;
  /** The same target was retried at once with other edits, so that the request has not failed there. */
  readonly isRepaired: boolean;
  /** The error is in another dialect than the caller's. */
  readonly isConverted: boolean;
}

export class RetryState implements Alternatives {
  readonly active: ActiveRequest;
  /** The targets that this request may use. */
  tiers: Tiers;
  /** The targets that were removed because they can't serve the request. */
  readonly incapable: Incapable[] = [];
  /** Upstream calls made. */
  attempts = 0;
  /** Attempts that were followed by a repair; they do not count towards `maxAttempts`. */
  repairs = 0;
  /** Why the first choice was skipped; null: it was not. */
  fallback: Reason | null = null;
  firstTarget: RouteTarget | null = null;
  readonly failures: FailedAttempt[] = [];
  readonly tried = new TriedTargets();
  /** The target to try next in any case, as the request was repaired for it. */
  repairedFor: RouteTarget | null = null;
  /** The next attempt has been charged to the retry budget. */
  budgetReserved = false;
  /** The committed attempt that broke off, while a continuation is sought; else null. */
  broken: Attempt | null = null;
  /** The source of an expired cached response. */
  readonly #cached: { readonly stale: object | null } | null;

  constructor(active: ActiveRequest, cached: { readonly stale: object | null } | null) {
    this.active = active;
    this.#cached = cached;
    const { request, route } = active;
    const tiers = route.tiersFor(request.facts.operation, request.fallback);
    this.tiers = this.hasStale ? route.withoutLocalStandIns(tiers) : tiers;
  }

  /** True if an expired cached response can stand in. */
  get hasStale(): boolean {
    return this.#cached !== null && this.#cached.stale !== null;
  }

  /** Attempts left under `maxAttempts`. */
  get attemptsLeft(): number {
    return this.active.route.maxAttempts + this.repairs - this.attempts;
  }

  /** True if a target refused for a reason that applies to every target. */
  get isRejected(): boolean {
    return this.failures.some(({ judgement, isRepaired }) => judgement.verdict === 'reject' && !isRepaired);
  }

  /** The first error that matches no rule; the final error unless a target responds. */
  get refusal(): FailedAttempt | null {
    return this.failures.find(({ judgement, isRepaired }) => judgement.reason === 'refused' && !isRepaired) ?? null;
  }

  /** Removes the targets that can't serve the request, as far as they are examined in advance. */
  removeIncapable(): void {
    const { engine, request, route } = this.active;
    const { tiers, incapable } = holdingOnly(engine, request, route, capableOf(request, route, this.tiers));
    this.tiers = tiers;
    for (const one of incapable) this.#addIncapable(one);
  }

  /** True if the chosen target can carry the request; else it is removed, and its permit given back. */
  keepIfCapable({ target, permit }: Admitted): boolean {
    const { engine, request, route } = this.active;
    let isCapable = false;
    try {
      const found = whyIncapable(request, target);
      isCapable = found === null;
      if (found === null) return true;
      this.tiers = without(route, this.tiers, [target]);
      this.#addIncapable(found);
      return false;
    } finally {
      if (!isCapable) engine.admission.cancel(permit);
    }
  }

  #addIncapable(one: Incapable): void {
    this.incapable.push(one);
    this.active.note(`left out: ${one.message}`, one.target);
  }

  /**
   * What is left besides `current`. Another credential of the same target does not count: it would be as silent. `atOnce`: only what the
   * request can be sent to at once.
   */
  alternativeTo(current: RouteTarget, now: Instant, atOnce = false): Alternative {
    let found: Alternative = 'none';
    if (this.attemptsLeft <= 0) return found;
    for (const tier of this.tiers) {
      for (const target of tier) {
        if (target.state.name === current.state.name || this.tried.wasTried(target) || this.tried.isExcluded(target)) continue;
        if (isOutOfOrder(target, now, this.active.source) || now > this.latestStartOn(target)) continue;
        if (atOnce && !isCarriedAtOnce(this.active.request, target)) continue;
        if (!isStandInFor(target, current)) return 'peer';
        found = 'stand-in';
      }
    }
    return found;
  }

  /** The latest start on a target that leaves its usual duration before the deadline; Infinity: unknown, or never possible. */
  latestStartOn({ state }: RouteTarget): Instant {
    const { request, deadline, startedAt } = this.active;
    const usualMs = state.silence.usualMs(callKindOf(request.facts, state));
    return usualMs > 0 && usualMs < deadline - startedAt ? deadline - usualMs : Infinity;
  }

  /** The latest start of a last resort: its usual duration or a tenth of the deadline, whichever is longer, before the deadline. */
  get standInStart(): Instant {
    const { request, deadline, startedAt } = this.active;
    const totalMs = deadline - startedAt;
    let neededMs = totalMs / STAND_IN_PART;
    for (const tier of this.tiers) {
      for (const { state } of tier) {
        const usualMs = state.onThisMachine ? state.silence.usualMs(callKindOf(request.facts, state)) : 0;
        if (usualMs < totalMs) neededMs = Math.max(neededMs, usualMs);
      }
    }
    return deadline - neededMs;
  }

  /** Retries `target` at once with another request body, free of any budget. */
  repairFor(target: RouteTarget): void {
    this.tried.waiveBudget(target);
    this.repairedFor = target;
    this.repairs++;
  }

  /** Why the response does not come from the first choice; null: it does. */
  fallbackFor(target: RouteTarget): Reason | null {
    if (target.tier === 0 && (this.firstTarget === null || this.firstTarget === target)) return null;
    // A repair of the first choice was pending when another target responded.
    return this.fallback ?? this.failures[0]?.judgement.reason ?? null;
  }
}
