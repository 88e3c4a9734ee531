/** One request in progress: its identity, deadline, current wait, and entry in the list of running requests. */
import type { Instant, Timer } from '../../core/clock.ts';
import type { BreakwaterError } from '../../core/errors.ts';
import type { Failure } from '../../core/facts.ts';
import type { ByteAccount } from '../../core/held-bytes.ts';
import type { Permit } from '../../core/permit.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { Source } from '../../core/source.ts';
import type { Admitted, RouteApplicant } from '../admission/admission.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Engine } from '../request/engine.ts';
import { holderOf } from '../request/gateway-request.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { emitReceived } from '../request/received.ts';
import type { Running } from '../request/running-list.ts';
import { sourceOf } from '../request/source.ts';
import type { Route, RouteTarget } from '../route/route.ts';
import { Spending } from './spending.ts';

/** The attempts that run at the same time for one request: one or two (`group/attempt-group.ts`). */
export interface RunningAttempts {
  /** Attempts without a response so far. */
  readonly silent: readonly Attempt[];
  /** The next that is decided; null: all were cancelled. */
  next(): Promise<Attempt | null>;
  /** Starts a repaired retry in parallel with the attempt that still runs. */
  join(admitted: Admitted): void;
  /** The response of `winner` is used; the other attempt is closed. */
  win(winner: Attempt): void;
  /** A reader with a later deadline joined. */
  raiseDeadline(deadline: Instant): void;
  /** An attempt has been silent for too long. */
  onSilence(): void;
  /** Cancels them. */
  leave(): void;
}

export class ActiveRequest implements Running {
  readonly engine: Engine;
  readonly route: Route;
  /** As received; a continuation replaces the body. */
  request: GatewayRequest;
  /** The source that its failures are attributed to. */
  readonly source: Source;
  /** Secrets as of its start: a reload does not unmask a key that a response in progress quotes. */
  readonly secrets: SecretMask;
  readonly startedAt: Instant;
  /** For the first content; after a break, for the first content of the continuation. */
  deadline: Instant;
  /** Its scheduling class, or that of a more urgent reader. */
  priority: SchedulingClass;
  /** The earliest deadline of its readers, if before its own; otherwise Infinity. */
  requiredBy: Instant = Infinity;
  queueMs = 0;
  /** The permit for the client's own limits; null until the first start. */
  clientPermit: Permit | null = null;
  /** What later targets cost more than the ones before, reserved of the client's budget. */
  readonly #raises: Permit[] = [];
  /** The queue entry while it waits for a permit. */
  applicant: RouteApplicant | null = null;
  /** Ends the current wait; null: it is not waiting. */
  wake: (() => void) | null = null;
  /** The committed response; it ends when the request is interrupted. */
  relaying: { leave(): void } | null = null;
  /** Null: no attempt runs. */
  group: RunningAttempts | null = null;
  stopError: BreakwaterError | null = null;
  /** Usage and cost of its calls so far. */
  readonly spending = new Spending();
  /** Custom quality checks made. */
  checks = 0;
  older: Running | null = null;
  newer: Running | null = null;
  #held: ByteAccount | null = null;
  readonly #onLeave = (): void => this.#interruptWaits();

  constructor(engine: Engine, request: GatewayRequest, route: Route) {
    this.engine = engine;
    this.secrets = engine.secrets;
    this.request = request;
    this.source = sourceOf(request);
    this.route = route;
    this.startedAt = request.receivedAt;
    this.deadline = request.deadlineGiven ? request.deadline : request.receivedAt + route.deadlineMs;
    this.priority = request.priority;
  }

  /** Accounts for the bytes held of its responses. */
  get held(): ByteAccount {
    return (this.#held ??= this.engine.held.of(holderOf(this.request.client)));
  }

  /** The caller has disconnected or the gateway has stopped. */
  get isOver(): boolean {
    return this.request.caller.hasLeft || this.stopError !== null;
  }

  begin(): void {
    const { request, engine } = this;
    request.caller.onLeave = this.#onLeave;
    engine.running.add(this);
    emitReceived(engine.events, request, this.startedAt, this.deadline);
  }

  stop(error: BreakwaterError): void {
    this.stopError ??= error;
    this.#interruptWaits();
  }

  /** Another reader joined: the request waits in the higher class of both, ordered by the earlier deadline, until the later one. */
  raise(by: { readonly priority: SchedulingClass; readonly deadline: Instant }): void {
    if (SCHEDULING_CLASSES.indexOf(by.priority) < SCHEDULING_CLASSES.indexOf(this.priority)) this.priority = by.priority;
    this.requiredBy = Math.min(this.requiredBy, this.deadline, by.deadline);
    this.deadline = Math.max(this.deadline, by.deadline);
    this.group?.raiseDeadline(this.deadline);
    if (this.applicant === null) return;
    const { usualMs } = this.applicant;
    const waitUntil = Math.max(this.applicant.waitUntil, by.deadline - usualMs);
    this.engine.admission.raise(this.applicant, { class: this.priority, deadline: this.requiredBy - usualMs, waitUntil });
  }

  onSilence(): void {
    this.group?.onSilence();
  }

  /** Waits until `at`; returns early if the request is over. */
  sleepUntil(at: Instant): Promise<void> {
    const { clock } = this.engine;
    const delayMs = at - clock.now();
    if (delayMs <= 0 || this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const timer: Timer = clock.schedule(delayMs, () => this.wake?.());
      this.wake = () => {
        timer.cancel();
        this.wake = null;
        resolve();
      };
    });
  }

  /** Adds a note to the timeline. */
  note(note: string, target?: RouteTarget): void {
    const at = this.engine.clock.now();
    const event = { type: 'note', requestId: this.request.id, at, note } as const;
    this.engine.events.emit(target === undefined ? event : { ...event, target: target.state.name });
  }

  /** Adds a note to the timeline and the log. */
  log(note: string, target: RouteTarget, notable: 'info' | 'warn' = 'info'): void {
    const at = this.engine.clock.now();
    this.engine.events.emit({ type: 'note', requestId: this.request.id, at, note, target: target.state.name, notable });
  }

  /** Reports an internal error to the operator. */
  warn(error: unknown): void {
    const { events, clock } = this.engine;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    events.emit({ type: 'warning', at: clock.now(), message: `internal error in request ${this.request.id}`, detail });
  }

  /** Reports that this process or machine has run out of file descriptors, ports or memory for connections. */
  noteExhaustion(failure: Failure): void {
    const { engine } = this;
    if (!engine.exhaustion.isDue(engine.clock.now())) return;
    const message = `no connection could be opened: ${failure.message}. Raise the limit of open files (ulimit -n), or lower the load`;
    engine.events.emit({ type: 'warning', at: engine.clock.now(), message });
  }

  /** Called on every path, after the end was emitted. */
  close(): void {
    this.request.caller.onLeave = null;
    if (this.clientPermit !== null) this.closeClientPermit(this.engine.clock.now());
    this.engine.running.remove(this);
  }

  /** Takes the permit of a start: the client's own, or the raise of its budget for another target; null: none was needed. */
  takeClientPermit(permit: Permit | null): void {
    if (permit === null) return;
    if (this.clientPermit === null) this.clientPermit = permit;
    else this.#raises.push(permit);
  }

  /** Reserved of the client's budget, in US dollars. */
  get reservedUsd(): number {
    return this.#raises.reduce((usd, { need }) => usd + (need.usd ?? 0), this.clientPermit?.need.usd ?? 0);
  }

  closeClientPermit(now: Instant): void {
    if (this.clientPermit === null) return;
    for (const raise of this.#raises.splice(0)) raise.cancel(now);
    const { counted: usage, spent } = this.spending;
    this.clientPermit.settle(now, { usage, usd: spent.chargedUsd, health: 'neutral' });
    this.clientPermit = null;
    this.engine.admission.pump();
  }

  #interruptWaits(): void {
    this.wake?.();
    this.relaying?.leave();
    this.group?.leave();
  }
}
