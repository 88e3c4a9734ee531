/** What one request knows of its attempts so far, and which targets are left to it. */
import type { HeaderPairs } from '../../core/headers.ts';
import type { Instant } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import type { Reason } from '../../core/outcome.ts';
import type { Judgement } from '../../policy/verdict.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Alternative, Alternatives } from '../attempt/attempt-options.ts';
import { capableOf } from '../conversion/capability.ts';
import type { Incapable } from '../conversion/capability.ts';
import { holdingOnly } from '../opaque/preference.ts';
import { callKindOf } from '../request/call-kind.ts';
import { isOutOfOrder, isStandInFor } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import { TriedTargets } from './tried-targets.ts';

/** The share of the deadline reserved for a last resort: 1 / `STAND_IN_PART`. */
const STAND_IN_PART = 10;

/** One failed attempt, as the decisions after it and the final error need it. */
export interface FailedAttempt {
  readonly target: RouteTarget;
  readonly failure: Failure;
  readonly judgement: Judgement;
  /** The provider's own id of the request. */
  readonly upstreamId: string | null;
  /** Response headers about the caller's own account; absent unless the caller's own credential was used. */
  readonly account?: HeaderPairs;
  /** The caller's deadline ended it, or the share of it that one attempt may spend in silence. */
  readonly ranOut: boolean;
  /** The same target was retried at once with other edits: not a failure of the request. */
  readonly isRepaired: boolean;
  /** The error is in another dialect than the caller's. */
  readonly isConverted: boolean;
}

export class RetryState implements Alternatives {
  readonly active: ActiveRequest;
  /** The targets that this request may use. */
  tiers: Tiers;
  /** Upstream calls made. */
  attempts = 0;
  /** Those of them that a repair followed; they do not count towards `maxAttempts`. */
  repairs = 0;
  /** Why the first choice was passed over; null: it was not. */
  fallback: Reason | null = null;
  firstTarget: RouteTarget | null = null;
  readonly failures: FailedAttempt[] = [];
  readonly tried = new TriedTargets();
  /** The target to try next in any case, because the request was repaired for it. */
  repairedFor: RouteTarget | null = null;
  /** The next attempt has been charged to the retry budget. */
  budgetReserved = false;
  /** The committed attempt that broke off, while a continuation is sought; else null. */
  broken: Attempt | null = null;
  /** Holds an expired cached response that can stand in. */
  readonly #cached: { readonly stale: object | null } | null;

  constructor(active: ActiveRequest, cached: { readonly stale: object | null } | null) {
    this.active = active;
    this.#cached = cached;
    const { request, route } = active;
    const tiers = route.tiersFor(request.facts.operation, request.fallback);
    this.tiers = this.hasStale ? route.beforeLocal(tiers) : tiers;
  }

  /** An expired cached response is at hand. */
  get hasStale(): boolean {
    return this.#cached !== null && this.#cached.stale !== null;
  }

  /** Attempts left under `maxAttempts`. */
  get attemptsLeft(): number {
    return this.active.route.maxAttempts + this.repairs - this.attempts;
  }

  /** A target has refused in a way that no other target would change. */
  get isRejected(): boolean {
    return this.failures.some(({ judgement, isRepaired }) => judgement.verdict === 'reject' && !isRepaired);
  }

  /** The first error that no rule recognises; it is the final error unless a target responds. */
  get refusal(): FailedAttempt | null {
    return this.failures.find(({ judgement, isRepaired }) => judgement.reason === 'refused' && !isRepaired) ?? null;
  }

  /** Removes the targets that can't serve the request, and returns them. */
  leaveOutIncapable(): readonly Incapable[] {
    const { engine, request, route } = this.active;
    const { tiers, incapable } = holdingOnly(engine, request, route, capableOf(request, route, this.tiers));
    this.tiers = tiers;
    return incapable;
  }

  /** Another credential of the same target does not count: its silence would be the same. */
  alternativeTo(beside: RouteTarget, now: Instant): Alternative {
    let found: Alternative = 'none';
    if (this.attemptsLeft <= 0) return found;
    for (const tier of this.tiers) {
      for (const target of tier) {
        if (target.state.name === beside.state.name || this.tried.isAsked(target) || this.tried.isDead(target)) continue;
        if (isOutOfOrder(target, now, this.active.source) || now > this.latestStartOn(target)) continue;
        if (!isStandInFor(target, beside)) return 'peer';
        found = 'stand-in';
      }
    }
    return found;
  }

  /** The latest start on a target that leaves it its usual time before the deadline; Infinity: unknown, or never possible. */
  latestStartOn({ state }: RouteTarget): Instant {
    const { request, deadline, startedAt } = this.active;
    const usualMs = state.silence.usualMs(callKindOf(request.facts, state));
    return usualMs > 0 && usualMs < deadline - startedAt ? deadline - usualMs : Infinity;
  }

  /** A last resort needs its own usual time or a tenth of the deadline, whichever is longer. */
  get standInAt(): Instant {
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
    this.tried.markFree(target);
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
