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
  /** Where the request comes from. */
  readonly source: Source;
  /** What keeps a session at one target, so that prompt caches are used; null: nothing. */
  readonly affinityKey: string | null;
  /** Makers of what it holds, which are preferred to others of their tier; the best first. */
  readonly preferred: readonly RouteTarget[];
  /** What answers of its kind may be compared by. */
  readonly kind: number;
  /** How long an answer to it usually takes, in milliseconds. */
  readonly usualMs: number;
  /** No other attempt may follow: a credential that is in doubt is tried by somebody else, if there is a choice. */
  readonly isLast: boolean;
  /** Who is to be told once it has waited; null: nobody waits. */
  resolve: ((result: AdmissionResult) => void) | null;
}
export type Admitted = Start<RouteTarget>;
export type AdmissionResult = Admitted | Refusal | { readonly kind: 'cancelled' };

/** Runs the scheduler: keeps in touch with those who wait, wakes it when it asks, and closes permits through it. */
export class Admission {
  readonly #scheduler: Scheduler<RouteTarget, RouteApplicant>;
  readonly #clock: Clock;
  #timer: Timer | null = null;
  #firesAt: Instant = Infinity;

  constructor(scheduler: Scheduler<RouteTarget, RouteApplicant>, clock: Clock) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  /** What can be said at once; after `wait`, call `wait`. */
  submit(applicant: RouteApplicant): Decision<RouteTarget> {
    const decision = this.#scheduler.submit(this.#clock.now(), applicant);
    // A caller of `wait` pumps after it, when the decision can be delivered.
    if (decision.kind !== 'wait' && this.#scheduler.hasDecided) this.pump();
    return decision;
  }

  /** Resolves when the applicant starts, is refused, or is withdrawn. Pump after it: the newcomer may be first in line. */
  wait(applicant: RouteApplicant): Promise<AdmissionResult> {
    return new Promise((resolve) => {
      applicant.resolve = resolve;
    });
  }

  /** The request is over: its place in the queue is given up. */
  withdraw(applicant: RouteApplicant): void {
    const { resolve } = applicant;
    if (resolve === null) return;
    applicant.resolve = null;
    this.#scheduler.cancel(this.#clock.now(), applicant);
    resolve({ kind: 'cancelled' });
    this.pump();
  }

  /** A better reader has joined whoever waits: it moves to where that one would stand. False: it doesn't wait (any more). */
  raise(applicant: RouteApplicant, by: Raise): boolean {
    const waits = this.#scheduler.raise(this.#clock.now(), applicant, by);
    if (waits) this.pump();
    return waits;
  }

  /** Whether a request waits because this resource is short. */
  isWaitedFor(resource: Resource): boolean {
    return this.#scheduler.isWaitedFor(resource);
  }

  cancel(permit: Permit): void {
    permit.cancel(this.#clock.now());
    this.pump();
  }

  /**
   * Something may have become free, or blocked: decides what can be decided now, and sets the alarm for the next time.
   * `everyone`: an operator changed a target, which no permit or clock says to those who wait for something else of it.
   */
  pump(everyone = false): void {
    if (this.#scheduler.length === 0 && this.#timer === null && !this.#scheduler.hasDecided) return;
    for (const { applicant, decision } of this.#scheduler.poll(this.#clock.now(), everyone)) {
      const { resolve } = applicant;
      applicant.resolve = null;
      assert(resolve !== null, 'whoever waits in the scheduler has somebody to be told');
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
