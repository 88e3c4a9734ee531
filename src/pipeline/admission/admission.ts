import { assert } from '../../core/assert.ts';
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import type { Permit } from '../../core/permit.ts';
import type { Resource } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import type { Scheduler } from '../../policy/scheduler/scheduler.ts';
import type { Applicant, Decision, Raise, Refusal, Start } from '../../policy/scheduler/types.ts';
import type { RouteTarget } from '../route/route.ts';

export interface RouteApplicant extends Applicant<RouteTarget> {
  /** The model asked for. */
  readonly model: string;
  /** The source of the request, for attributing failures. */
  readonly source: Source;
  /** Keeps a session on one target, for prompt caching; null: no session. */
  readonly affinityKey: string | null;
  /** Targets that made opaque pieces in the request, preferred within their tier; the best first. */
  readonly preferred: readonly RouteTarget[];
  /** The kind of response (`responseKind`). */
  readonly kind: number;
  /** The usual duration of a response to it, in milliseconds. */
  readonly usualMs: number;
  /** No attempt may follow this one: it avoids credentials in doubt where there is a choice. */
  readonly isLast: boolean;
  /** Resolves the wait; null: it is not waiting. */
  resolve: ((result: AdmissionResult) => void) | null;
}
export type Admitted = Start<RouteTarget>;
export type AdmissionResult = Admitted | Refusal | { readonly kind: 'cancelled' };

/** Runs the scheduler: resolves waiting requests, wakes it at its next due time, and closes permits. */
export class Admission {
  readonly #scheduler: Scheduler<RouteTarget, RouteApplicant>;
  readonly #clock: Clock;
  #timer: Timer | null = null;
  #firesAt: Instant = Infinity;

  constructor(scheduler: Scheduler<RouteTarget, RouteApplicant>, clock: Clock) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  /** The immediate decision; after a decision of `wait`, call `wait`. */
  submit(applicant: RouteApplicant, now: Instant): Decision<RouteTarget> {
    const decision = this.#scheduler.submit(now, applicant);
    // After `wait`, the caller pumps once the decision can be delivered.
    if (decision.kind !== 'wait' && this.#scheduler.hasDecided) this.pump();
    return decision;
  }

  /** Resolves when the applicant starts, is refused, or is withdrawn. Call `pump` afterwards: it may be first in the queue. */
  wait(applicant: RouteApplicant): Promise<AdmissionResult> {
    return new Promise((resolve) => {
      applicant.resolve = resolve;
    });
  }

  /** Removes a waiting request from the queue; it resolves as `cancelled`. */
  withdraw(applicant: RouteApplicant): void {
    const { resolve } = applicant;
    if (resolve === null) return;
    applicant.resolve = null;
    this.#scheduler.cancel(this.#clock.now(), applicant);
    resolve({ kind: 'cancelled' });
    this.pump();
  }

  /** Raises a waiting request to the class and deadline of a reader that joined it. False: it is not waiting. */
  raise(applicant: RouteApplicant, by: Raise): boolean {
    const waits = this.#scheduler.raise(this.#clock.now(), applicant, by);
    if (waits) this.pump();
    return waits;
  }

  /** True if a request is waiting for this resource. */
  isWaitedFor(resource: Resource): boolean {
    return this.#scheduler.isWaitedFor(resource);
  }

  cancel(permit: Permit): void {
    permit.cancel(this.#clock.now());
    this.pump();
  }

  /**
   * Decides what can be decided after capacity or blocks have changed, and sets the timer for the next due time. `everyone`: re-evaluates
   * every waiting request, after an operator changed a target.
   */
  pump(everyone = false): void {
    if (this.#scheduler.length === 0 && this.#timer === null && !this.#scheduler.hasDecided) return;
    for (const { applicant, decision } of this.#scheduler.poll(this.#clock.now(), everyone)) {
      const { resolve } = applicant;
      applicant.resolve = null;
      assert(resolve !== null, 'a request waiting in the scheduler has a pending promise');
      resolve(decision);
    }
    this.#setAlarm();
  }

  #setAlarm(): void {
    const wakeAt = this.#scheduler.wakeAt;
    if (wakeAt === this.#firesAt) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#firesAt = wakeAt;
    if (wakeAt === Infinity) return;
    this.#timer = this.#clock.schedule(Math.max(0, wakeAt - this.#clock.now()), () => {
      this.#timer = null;
      this.#firesAt = Infinity;
      this.pump();
    });
  }
}
