/** Permits for a second attempt in parallel with a silent one. It never waits, and never takes capacity that another request may need. */
import { assert } from '../../core/assert.ts';
import type { Instant } from '../../core/clock.ts';
import type { RaceCause } from '../../core/events.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Need } from '../../core/resource.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Admitted } from '../admission/admission.ts';
import { isCarriedAtOnce } from '../conversion/capability.ts';
import { RequestApplicant } from '../retry/request-applicant.ts';
import { isStandInFor } from '../route/route.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RetryState } from '../retry/retry-state.ts';

type Fits = (target: RouteTarget, current: RouteTarget) => boolean;

const isOther: Fits = (target, current) => target.state.name !== current.state.name;
/** A slow target is not replaced by a small model on this machine, which is always faster. */
const isPeer: Fits = (target, current) => isOther(target, current) && !isStandInFor(target, current);
const isStandIn: Fits = (target, current) => isOther(target, current) && isStandInFor(target, current);
const isOtherKey: Fits = (target, current) => target !== current && !isOther(target, current);
const isSame: Fits = (target, current) => target === current;

/** `stand-in`: a rescue so late that nothing else could respond in time. */
type Purpose = RaceCause | 'stand-in';

/**
 * Candidates in order of preference. A hedge to the same target helps if one of its machines is slow; a probe of the same target would
 * show nothing new.
 */
const PLACES: Readonly<Record<Purpose, readonly Fits[]>> = {
  hedge: [isPeer, isOtherKey, isSame],
  probe: [isOther],
  rescue: [isPeer],
  'stand-in': [isStandIn],
};

/** A permit for an attempt in parallel with the one on `current`, if available at once; otherwise null. */
export function parallelPermit(retry: RetryState, current: RouteTarget, purpose: Purpose): Admitted | null {
  const { admission, clock } = retry.active.engine;
  for (const fits of PLACES[purpose]) {
    if (!retry.tiers.some((tier) => tier.some((target) => fits(target, current)))) continue;
    const isSpare = purpose === 'hedge' || purpose === 'probe';
    const now = clock.now();
    const decision = admission.submit(new ParallelApplicant(retry, current, fits, isSpare, now), now);
    assert(decision.kind !== 'wait', 'an applicant without time to wait is decided at once');
    if (decision.kind !== 'start') continue;
    retry.active.takeClientPermit(decision.clientPermit);
    return decision;
  }
  return null;
}

/**
 * Starts at once or not at all. A spare attempt has the lowest class, so that all waiting requests precede it. A rescue has the class of its
 * request: it must neither wait for lower classes nor for the headroom kept free of jobs.
 */
class ParallelApplicant extends RequestApplicant {
  override readonly class: SchedulingClass;
  readonly #retry: RetryState;
  readonly #current: RouteTarget;
  readonly #fits: Fits;
  /** True if it may only start where another place stays free. */
  readonly #isSpare: boolean;
  readonly #now: Instant;
  /** The other attempt still runs, and may cost as much as was reserved. */
  protected override readonly reservedUsd = 0;

  constructor(retry: RetryState, current: RouteTarget, fits: Fits, isSpare: boolean, now: Instant) {
    super(retry, retry.tiers, now, now);
    this.#retry = retry;
    this.#current = current;
    this.#fits = fits;
    this.#isSpare = isSpare;
    this.class = isSpare ? 'job' : retry.active.priority;
    this.#now = now;
  }

  override notBefore(target: RouteTarget): Instant {
    const { tried } = this.#retry;
    const { breaker, credential } = target.state;
    if (!this.#fits(target, this.#current) || tried.isExcluded(target)) return Infinity;
    if (target !== this.#current && tried.wasTried(target)) return Infinity;
    if (this.#now > this.#retry.latestStartOn(target)) return Infinity;
    if (!isCarriedAtOnce(this.#retry.active.request, target)) return Infinity;
    // Targets in doubt are left to requests without an alternative.
    if (breaker.state !== 'closed' || breaker.isRamping || credential.quarantine.isInDoubt) return Infinity;
    if (!this.#isSpare) return -Infinity;
    return leavesRoom(target, this.needOn(target), this.#now) ? -Infinity : Infinity;
  }
}

/** True if another request of the same size could still start at once afterwards. */
function leavesRoom(target: RouteTarget, need: Need, now: Instant): boolean {
  const twice: Need = { requests: 2 * need.requests, inputTokens: 2 * need.inputTokens, outputTokens: 2 * need.outputTokens };
  for (const resource of target.resources) {
    const at = resource.earliest(now, twice);
    if (at === WHEN_SETTLED || at > now) return false;
    if (resource.kind === 'concurrency' && (resource.available?.(now) ?? Infinity) < 2) return false;
  }
  return true;
}
