import type { Instant } from '../../core/clock.ts';
import type { Blocker } from '../../core/events.ts';
import type { Permit } from '../../core/permit.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Capacity, Need, Resource } from '../../core/resource.ts';

/** What asks for a permit: one request, before each of its attempts. */
export interface Applicant<T extends Capacity> {
  readonly class: SchedulingClass;
  /** Whose share it counts against. */
  readonly client: string;
  /** By when it has to start, at best: nobody is started sooner for it, and whoever can start at once does even later. */
  readonly deadline: Instant;
  /** The end of waiting: the deadline, or sooner by `queue.maxWait`. */
  readonly waitUntil: Instant;
  /** The scheduler's own note of where it waits; null while it doesn't. */
  waiting: object | null;
  /**
   * The targets it may run on, best tier first. Applicants with the same array wait in the same lane, so pass one array
   * for one route, not a copy for each request.
   */
  readonly tiers: readonly (readonly T[])[];
  /** How long a better tier is worth waiting for, in milliseconds. */
  readonly patienceMs: number;
  /** Until then anything better is worth waiting for before a tier of last resort. Default: `patienceMs` goes for that, too. */
  readonly lastResortAt?: Instant;
  /** A cooldown longer than this is not waited for, in milliseconds. */
  readonly maxCooldownWaitMs: number;
  /** The client's own limits; taken with the first permit of a request, empty for the later ones. */
  readonly own: readonly Resource[];
  needOn(target: T): Need;
  /** The instant before which this request must not ask the target again. */
  notBefore(target: T): Instant;
}

/** What a better reader brings to a request that waits already; only the better of old and new counts. */
export interface Raise {
  readonly class?: SchedulingClass;
  /** By when it is wanted: the sooner. */
  readonly deadline?: Instant;
  /** How long somebody wants it: the later. */
  readonly waitUntil?: Instant;
}

/** Everything was reserved: the attempt may be sent. */
export interface Start<T extends Capacity> {
  readonly kind: 'start';
  readonly target: T;
  readonly permit: Permit;
  /** What was taken from the client's own limits; closed when the whole request ends. */
  readonly clientPermit: Permit | null;
}

export interface Wait {
  readonly kind: 'wait';
}

/**
 * - `infeasible`: nothing can start in time, by what is known now
 * - `expired`: the wait is over
 * - `queue_full`: no room to wait
 */
export interface Refusal {
  readonly kind: 'refuse';
  readonly why: 'infeasible' | 'expired' | 'queue_full';
  /** When it could have started, as far as known. */
  readonly earliest: Instant | null;
  /** True if some target, or the client itself, is held back only by limits or a cooldown. */
  readonly limited: boolean;
  readonly blockers: readonly Blocker[];
}

export type Decision<T extends Capacity> = Start<T> | Wait | Refusal;

export interface Decided<T extends Capacity, A extends Applicant<T>> {
  readonly applicant: A;
  readonly decision: Start<T> | Refusal;
}

/** Chooses among the targets of one tier that can start now; never called with none. */
export type Choose<T extends Capacity, A extends Applicant<T>> = (startable: readonly T[], applicant: A, now: Instant) => T;

export interface SchedulerOptions<T extends Capacity, A extends Applicant<T>> {
  /** At most this many wait. One more is refused with `queue_full`, or takes the place of another that is (`queue-places.ts`). */
  readonly queueLengthMax: number;
  /** Share of starts on a resource that a waiting class keeps while higher ones are served, by class; absent: none. */
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  readonly choose: Choose<T, A>;
  /** Called at every start, whether `choose` was asked or not, because its criteria may depend on earlier starts. */
  readonly onStart?: (target: T, now: Instant) => void;
}
