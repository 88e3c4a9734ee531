/** Where a second attempt may run beside a silent one. It never waits, and never takes what somebody else may need a moment later. */
import { assert } from '../../core/assert.ts';
import type { Instant } from '../../core/clock.ts';
import type { RaceCause } from '../../core/events.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Need } from '../../core/resource.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Admitted } from '../admission/admission.ts';
import { RequestApplicant } from '../retry/request-applicant.ts';
import { isStandInFor } from '../route/route.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RetryState } from '../retry/retry-state.ts';

type Fits = (target: RouteTarget, beside: RouteTarget) => boolean;

const isOther: Fits = (target, beside) => target.state.name !== beside.state.name;
/** A target that is merely slow is not replaced by a small model on this machine, which is always quicker. */
const isPeer: Fits = (target, beside) => isOther(target, beside) && !isStandInFor(target, beside);
const isStandIn: Fits = (target, beside) => isOther(target, beside) && isStandInFor(target, beside);
const isOtherKey: Fits = (target, beside) => target !== beside && !isOther(target, beside);
const isSame: Fits = (target, beside) => target === beside;

/** `stand-in`: a rescue so late that nothing else could answer in time. */
type Wanted = RaceCause | 'stand-in';

/**
 * In this order. A hedge to the same target helps where one of its machines is slow and not all of them; a probe asks whether the
 * target is well, and a second call to it would ask the same.
 */
const PLACES: Readonly<Record<Wanted, readonly Fits[]>> = {
  hedge: [isPeer, isOtherKey, isSame],
  probe: [isOther],
  rescue: [isPeer],
  'stand-in': [isStandIn],
};

/** A permit for an attempt beside the one on `beside`, if one is to be had at once; null: there is none. */
export function parallelPermit(retry: RetryState, beside: RouteTarget, wanted: Wanted): Admitted | null {
  const { admission, clock } = retry.active.engine;
  for (const fits of PLACES[wanted]) {
    if (!retry.tiers.some((tier) => tier.some((target) => fits(target, beside)))) continue;
    const isSpare = wanted === 'hedge' || wanted === 'probe';
    const decision = admission.submit(new ParallelApplicant(retry, beside, fits, isSpare, clock.now()));
    assert(decision.kind !== 'wait', 'who has no time to wait is not let wait');
    if (decision.kind === 'start') return decision;
  }
  return null;
}

/**
 * It starts at once or not at all. A spare one is of the lowest class: whatever waits goes before it. A rescue has its request's own class:
 * it must not wait until lower ones have gone, nor for the stock that jobs leave.
 */
class ParallelApplicant extends RequestApplicant {
  override readonly class: SchedulingClass;
  readonly #retry: RetryState;
  readonly #beside: RouteTarget;
  readonly #fits: Fits;
  /** It is worth a place only where another one stays free. */
  readonly #isSpare: boolean;
  readonly #now: Instant;

  constructor(retry: RetryState, beside: RouteTarget, fits: Fits, isSpare: boolean, now: Instant) {
    super(retry, retry.tiers, now);
    this.#retry = retry;
    this.#beside = beside;
    this.#fits = fits;
    this.#isSpare = isSpare;
    this.class = isSpare ? 'job' : retry.active.priority;
    this.#now = now;
  }

  override notBefore(target: RouteTarget): Instant {
    const { tried } = this.#retry;
    const { breaker, credential } = target.state;
    if (!this.#fits(target, this.#beside) || tried.isDead(target)) return Infinity;
    if (target !== this.#beside && tried.isAsked(target)) return Infinity;
    if (this.#now > this.#retry.latestStartOn(target)) return Infinity;
    // What is in doubt is tried by who has nothing better.
    if (breaker.state !== 'closed' || breaker.isRamping || credential.bench.isInDoubt) return Infinity;
    if (!this.#isSpare) return -Infinity;
    return leavesRoom(target, this.needOn(target), this.#now) ? -Infinity : Infinity;
  }
}

/** After it, another request of its size could still start at once. */
function leavesRoom(target: RouteTarget, need: Need, now: Instant): boolean {
  const twice: Need = { requests: 2 * need.requests, inputTokens: 2 * need.inputTokens, outputTokens: 2 * need.outputTokens };
  for (const resource of target.resources) {
    const at = resource.earliest(now, twice);
    if (at === WHEN_SETTLED || at > now) return false;
    if (resource.kind === 'concurrency' && (resource.available?.(now) ?? Infinity) < 2) return false;
  }
  return true;
}
