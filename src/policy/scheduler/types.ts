import type { Instant } from '../../core/clock.ts';
import type { Blocker } from '../../core/events.ts';
import type { Permit } from '../../core/permit.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity, Need, Resource } from '../../core/resource.ts';

/** A request for a permit, submitted before each attempt of a request. */
export interface Applicant<T extends Capacity> {
  readonly class: SchedulingClass;
  /** The client whose share it counts against. */
  readonly client: string;
  /** The conversation or run that it belongs to; null: none. The sessions of a client divide the share of the client. */
  readonly session: string | null;
  /** A sub-agent or a side task: served after the other requests of its session. */
  readonly isSide: boolean;
  /** The instant by which it should start; requests are ordered by it. One that can start at once may do so later. */
  readonly deadline: Instant;
  /** The end of the wait: the deadline, or earlier by `queue.maxWait`. */
  readonly waitUntil: Instant;
  /** The scheduler's entry for it; null while it does not wait. */
  waiting: object | null;
  /**
   * The targets it may use, best tier first. Applicants with the same array share one `TargetSet`, so pass one array per route, not a copy
   * per request.
   */
  readonly tiers: readonly (readonly T[])[];
  /** The longest wait for a better tier, in milliseconds. */
  readonly patienceMs: number;
  /** Until then a better tier is preferred to a tier of last resort. Default: after `patienceMs`. */
  readonly lastResortAt?: Instant;
  /** The longest cooldown to wait for, in milliseconds. */
  readonly maxCooldownWaitMs: number;
  /** The client's own limits, reserved with the first permit of a request; empty for later attempts. */
  readonly own: readonly Resource[];
  needOn(target: T): Need;
  /** The earliest instant at which this request may call the target again. */
  notBefore(target: T): Instant;
}

/** The class and times of a more urgent caller that joins a waiting request; in each the better value applies. */
export interface Raise {
  readonly class?: SchedulingClass;
  /** Its deadline; the earlier one applies. */
  readonly deadline?: Instant;
  /** The end of its wait; the later one applies. */
  readonly waitUntil?: Instant;
}

/** All resources are reserved: the attempt may be sent. */
export interface Start<T extends Capacity> {
  readonly kind: 'start';
  readonly target: T;
  readonly permit: Permit;
  /** The reservation on the client's own limits; closed when the whole request ends. */
  readonly clientPermit: Permit | null;
}

export interface Wait {
  readonly kind: 'wait';
}

/**
 * - `infeasible`: as far as is known, it cannot start in time
 * - `expired`: its wait is over
 * - `queue_full`: the queue has no free place
 */
export interface Refusal {
  readonly kind: 'refuse';
  readonly why: 'infeasible' | 'expired' | 'queue_full';
  /** When it could have started; null: unknown. */
  readonly earliest: Instant | null;
  /** True if some target, or the client itself, is blocked only by limits or a cooldown. */
  readonly limited: boolean;
  readonly blockers: readonly Blocker[];
}

export type Decision<T extends Capacity> = Start<T> | Wait | Refusal;

export interface Decided<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  readonly decision: Start<T> | Refusal;
}

/** Chooses among the targets of one tier that can start now; never called with an empty list. */
export type Choose<T extends Capacity, A extends Applicant<T>> = (startable: readonly T[], applicant: A, now: Instant) => T;

export interface SchedulerOptions<T extends Capacity, A extends Applicant<T>> {
  /** The most waiting requests. A further one is refused with `queue_full`, or replaces one that is (`queue-places.ts`). */
  readonly queueLengthMax: number;
  /** The share of starts on a resource that a waiting class gets while higher classes are served; absent: none. */
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  readonly choose: Choose<T, A>;
  /** Called at every start, also where `choose` was not called. */
  readonly onStart?: (target: T, now: Instant) => void;
}
