/** One request under way: what is known of it, what it holds, and how it ends, exactly once. */
import type { Instant, Timer } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { SCHEDULING_CLASSES } from '../core/request.ts';
import type { SchedulingClass } from '../core/request.ts';
import type { FinishedEvent, RequestOutcome } from '../core/events.ts';
import type { Failure, TokenUsage } from '../core/facts.ts';
import type { ByteAccount } from '../core/held-bytes.ts';
import type { Reason } from '../core/outcome.ts';
import type { Permit } from '../core/permit.ts';
import type { Source } from '../core/source.ts';
import type { SecretMask } from '../core/secrets/secret-mask.ts';
import type { RouteApplicant } from './admission/admission.ts';
import type { Attempt } from './attempt/attempt.ts';
import type { AtHand, AttemptOwner } from './attempt/attempt-options.ts';
import { capableOf } from './conversion/capability.ts';
import type { Incapable } from './conversion/capability.ts';
import { callKindOf } from './request/call-kind.ts';
import { Downstream } from './delivery/downstream.ts';
import type { Outlet } from './delivery/downstream.ts';
import type { Engine } from './request/engine.ts';
import { holderOf, keepAliveMsOf } from './request/gateway-request.ts';
import type { GatewayRequest } from './request/gateway-request.ts';
import { holdingOnly } from './opaque/preference.ts';
import { emitReceived } from './request/received.ts';
import { isOutOfOrder, isStandInFor } from './route/route.ts';
import type { Route, RouteTarget, Tiers } from './route/route.ts';
import type { Running } from './request/running-list.ts';
import type { SharedAnswer } from './sharing/shared-response.ts';
import { Spending } from './settle/spending.ts';
import type { AnswerSink, HeaderPairs } from './request/response-sink.ts';
import type { FailedAttempt, Group, KeptAnswer } from './run-parts.ts';
import { sourceOf } from './request/source.ts';
import { TriedTargets } from './retry/tried-targets.ts';

/** What a last resort is left of the deadline: one part of so many. */
const STAND_IN_PART = 10;

export class RequestRun implements Running, AttemptOwner {
  readonly engine: Engine;
  /** As it came; a broken answer is continued with another body. */
  request: GatewayRequest;
  /** Who its failures are held against. */
  readonly source: Source;
  readonly route: Route;
  readonly downstream: Outlet;
  /** The answer is read by others too, or kept for them; null: it is its caller's alone. */
  readonly shared: SharedAnswer | null;
  /** The targets that this request may use. */
  tiers: Tiers;
  /** Until commit; from a break that is mended, until somebody goes on. */
  deadline: Instant;
  readonly startedAt: Instant;
  /** Upstream calls made. */
  attempts = 0;
  /** Those of them that a repair followed; they don't count for `maxAttempts`. */
  repairs = 0;
  queueMs = 0;
  /** The tier and reason by which the first choice was passed over; null: it was not. */
  fallback: Reason | null = null;
  firstTarget: RouteTarget | null = null;
  readonly failures: FailedAttempt[] = [];
  readonly tried = new TriedTargets();
  /** As they are when it begins: a reload must not uncover a key that an answer under way quotes. */
  readonly secrets: SecretMask;
  older: Running | null = null;
  newer: Running | null = null;
  /** The target to ask next in any case, because the request was mended for it. */
  mendedFor: RouteTarget | null = null;
  /** The retry budget was charged for the next attempt already. */
  repeatIsPaid = false;
  #kept: KeptAnswer | null = null;
  #held: ByteAccount | null = null;
  /** Checks of the operator's own that were made. */
  checks = 0;
  clientPermit: Permit | null = null;
  /** The attempts that run, or are decided and not taken yet; null: there are none. */
  group: Group | null = null;
  /** The class that it waits in: its own, or a better reader's. */
  priority: SchedulingClass;
  /** By when somebody wants the answer, where that is sooner than its deadline; Infinity: nobody does. */
  wantedBy: Instant = Infinity;
  /** What waits for a permit on its behalf; null: nothing does. */
  applicant: RouteApplicant | null = null;
  /** Ends the present wait at once; null: it isn't waiting. */
  wake: (() => void) | null = null;
  /**
   * What carries the answer, once it is committed. An object and not a closure in `wake`: V8 allocates a closure that every request
   * makes in its old generation, where it keeps the whole finished request alive until the next major collection.
   */
  relaying: { leave(): void } | null = null;
  /** Whose committed answer broke off, while somebody is asked to go on with it; null: nobody's. */
  broken: Attempt | null = null;
  stopError: BreakwaterError | null = null;
  firstContentMs: number | null = null;
  /** What its calls used and cost so far. */
  readonly spending = new Spending();
  #finished = false;
  readonly #onLeave = () => this.#interruptWaits();

  constructor(engine: Engine, request: GatewayRequest, route: Route, sink: AnswerSink, shared: SharedAnswer | null = null) {
    this.engine = engine;
    this.secrets = engine.secrets;
    this.request = request;
    this.source = sourceOf(request);
    this.shared = shared;
    this.route = route;
    this.startedAt = request.receivedAt;
    this.deadline = request.deadlineGiven ? request.deadline : request.receivedAt + route.deadlineMs;
    this.priority = request.priority;
    const tiers = route.tiersFor(request.facts.operation, request.fallback);
    this.tiers = shared === null || shared.stale === null ? tiers : route.beforeLocal(tiers);
    this.downstream = shared ?? this.#ownDownstream(sink);
  }

  #ownDownstream(sink: AnswerSink): Downstream {
    const { request, route, engine } = this;
    return new Downstream(sink, engine.clock, {
      dialect: request.dialect,
      requestId: request.id,
      program: request.program ?? null,
      keepAliveMs: keepAliveMsOf(request, route.policy),
      owner: this,
    });
  }

  /** Where what is held of its answers is counted. */
  get held(): ByteAccount {
    return (this.#held ??= this.engine.held.of(holderOf(this.request.client)));
  }

  /** The best complete answer so far that was not good enough; null: there is none. */
  get kept(): KeptAnswer | null {
    return this.#kept;
  }

  keep(answer: KeptAnswer | null): void {
    if (this.#kept !== null) this.held.release(this.#kept.body.byteLength);
    if (answer !== null) this.held.hold(answer.body.byteLength);
    this.#kept = answer;
  }

  /** A target has said that nothing will work. */
  get isRejected(): boolean {
    return this.failures.some(({ judgement, isRepaired }) => judgement.verdict === 'reject' && !isRepaired);
  }

  /** The first error that no rule knows; it ends the request unless a target answers. */
  get refusal(): FailedAttempt | null {
    return this.failures.find(({ judgement, isRepaired }) => judgement.reason === 'refused' && !isRepaired) ?? null;
  }

  /** Attempts that `maxAttempts` leaves. */
  get attemptsLeft(): number {
    return this.route.maxAttempts + this.repairs - this.attempts;
  }

  get isOver(): boolean {
    return this.request.caller.hasLeft || this.stopError !== null;
  }

  /** Leaves out the targets that can't carry the request, and returns them. */
  leaveOutIncapable(): readonly Incapable[] {
    const { engine, request, route } = this;
    const { tiers, incapable } = holdingOnly(engine, request, route, capableOf(request, route, this.tiers));
    this.tiers = tiers;
    return incapable;
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

  /**
   * A better reader has joined: from now on it waits in the better class, as if it were due by the sooner deadline, and until the
   * later one.
   */
  raise(by: { readonly priority: SchedulingClass; readonly deadline: Instant }): void {
    if (SCHEDULING_CLASSES.indexOf(by.priority) < SCHEDULING_CLASSES.indexOf(this.priority)) this.priority = by.priority;
    this.wantedBy = Math.min(this.wantedBy, this.deadline, by.deadline);
    this.deadline = Math.max(this.deadline, by.deadline);
    this.group?.raiseDeadline(this.deadline);
    if (this.applicant === null) return;
    const { usualMs } = this.applicant;
    const waitUntil = Math.max(this.applicant.waitUntil, by.deadline - usualMs);
    this.engine.admission.raise(this.applicant, { class: this.priority, deadline: this.wantedBy - usualMs, waitUntil });
  }

  /** Another credential of the same target is no other: its silence would be the same. */
  atHand(beside: RouteTarget, now: Instant): AtHand {
    let found: AtHand = 'none';
    if (this.attemptsLeft <= 0) return found;
    for (const tier of this.tiers) {
      for (const target of tier) {
        if (target.state.name === beside.state.name || this.tried.isAsked(target) || this.tried.isDead(target)) continue;
        if (isOutOfOrder(target, now, this.source) || now > this.latestStartOn(target)) continue;
        if (!isStandInFor(target, beside)) return 'peer';
        found = 'stand-in';
      }
    }
    return found;
  }

  /** When a target has to start, to answer before the deadline in its usual time; Infinity: that is not known, or more than there ever was. */
  latestStartOn({ state }: RouteTarget): Instant {
    const usualMs = state.silence.usualMs(callKindOf(this.request.facts, state));
    return usualMs > 0 && usualMs < this.deadline - this.startedAt ? this.deadline - usualMs : Infinity;
  }

  /** A last resort needs its own usual time, or a tenth of the deadline, whichever is longer. */
  get standInAt(): Instant {
    const totalMs = this.deadline - this.startedAt;
    let neededMs = totalMs / STAND_IN_PART;
    for (const tier of this.tiers) {
      for (const { state } of tier) {
        const usualMs = state.onThisMachine ? state.silence.usualMs(callKindOf(this.request.facts, state)) : 0;
        if (usualMs < totalMs) neededMs = Math.max(neededMs, usualMs);
      }
    }
    return this.deadline - neededMs;
  }

  onSilence(): void {
    this.group?.onSilence();
  }

  /** A fault of ours is told to the operator. */
  warn(error: unknown): void {
    const { events, clock } = this.engine;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    events.emit({ type: 'warning', at: clock.now(), message: `internal error in request ${this.request.id}`, detail });
  }

  noteExhaustion(failure: Failure): void {
    const { engine } = this;
    if (!engine.exhaustion.isDue(engine.clock.now())) return;
    const message = `no connection could be opened: ${failure.message}. Raise the limit of open files (ulimit -n), or lower the load`;
    engine.events.emit({ type: 'warning', at: engine.clock.now(), message });
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

  note(note: string, target?: RouteTarget): void {
    const at = this.engine.clock.now();
    const event = { type: 'note', requestId: this.request.id, at, note } as const;
    this.engine.events.emit(target === undefined ? event : { ...event, target: target.state.name });
  }

  /** A note that stands in the log too. */
  tell(note: string, target: RouteTarget, notable: 'info' | 'warn' = 'info'): void {
    const at = this.engine.clock.now();
    this.engine.events.emit({ type: 'note', requestId: this.request.id, at, note, target: target.state.name, notable });
  }

  /** The end of an answer that went out whole. */
  succeed(attempt: Attempt): void {
    this.#finish('success', attempt.status, null, attempt.options.target, attempt.facts.usage);
  }

  /** The caller left, or the answer broke after it was committed. */
  breakOff(outcome: 'cancelled' | 'interrupted', status: number, code: FinishedEvent['code'], attempt: Attempt | null): void {
    this.#finish(outcome, status, code, attempt?.options.target ?? null, attempt?.facts.usage ?? null);
  }

  /** An error of ours, before or after the stream began. */
  fail(error: BreakwaterError): void {
    const headers: HeaderPairs = [];
    addCountHeaders(headers, this);
    this.downstream.fail(error, headers);
    if (this.broken !== null) return this.breakOff('interrupted', this.broken.status, error.code, this.broken);
    this.#finish(error.refused && this.attempts === 0 ? 'refused' : 'failed', error.status, error.code, null, null);
  }

  /** A fault of ours ended it. */
  failInside(fault: unknown): void {
    this.warn(fault);
    try {
      this.fail(new BreakwaterError('internal_error', 'an internal error in Breakwater; its log says more'));
    } catch (again) {
      this.warn(again); // what can't be told to the caller is told to the operator
    }
  }

  /** An answer was sent that is not simply ours or an attempt's. */
  failAsUpstream(status: number): void {
    this.#finish('failed', status, 'upstream_error', null, null);
  }

  succeedKept(kept: KeptAnswer): void {
    this.#finish('success', kept.status, null, kept.target, kept.usage);
  }

  /** Gives everything back; called on every path, after the end was told. */
  close(): void {
    this.request.caller.onLeave = null;
    this.#closeClientPermit(null);
    this.engine.running.remove(this);
    this.keep(null);
    if (!this.#finished) this.#finish('cancelled', 499, null, null, null);
    this.downstream.leave();
  }

  #interruptWaits(): void {
    this.wake?.();
    this.relaying?.leave();
    this.group?.leave();
  }

  #finish(
    outcome: RequestOutcome,
    status: number,
    code: FinishedEvent['code'],
    target: RouteTarget | null,
    usage: TokenUsage | null,
  ): void {
    if (this.#finished) return;
    this.#finished = true;
    this.group?.leave();
    const { request, engine } = this;
    const at = engine.clock.now();
    // Its own caller's end may have been another than that of the answer, which others read.
    const own = this.shared?.firstEnd ?? null;
    const { spending } = this;
    const wasted = spending.wastedBeside(target, usage);
    this.#closeClientPermit(spending.counted);
    engine.events.emit({
      type: 'finished',
      requestId: request.id,
      at,
      outcome: own?.outcome ?? outcome,
      protocol: request.dialect.protocol,
      operation: request.facts.operation,
      model: request.facts.model,
      client: request.client.name,
      priority: request.priority,
      stream: request.facts.stream,
      status: own?.status ?? status,
      code: own === null ? code : own.code,
      target: target?.state.name ?? own?.target ?? null,
      attempts: this.attempts,
      fallback: target === null ? null : this.fallbackFor(target),
      cache: own?.cache ?? null,
      queueMs: this.queueMs,
      durationMs: own?.durationMs ?? at - this.startedAt,
      firstContentMs: own === null ? this.firstContentMs : own.firstContentMs,
      usage: spending.usage,
      costUsd: spending.costUsd,
      ...(wasted === undefined ? {} : { wasted }),
    });
  }

  #closeClientPermit(usage: TokenUsage | null): void {
    if (this.clientPermit === null) return;
    this.clientPermit.settle(this.engine.clock.now(), { usage, health: 'neutral' });
    this.clientPermit = null;
    this.engine.admission.pump();
  }

  /** Why the answer does not come from the first choice; null: it does. */
  fallbackFor(target: RouteTarget): Reason | null {
    if (target.tier === 0 && (this.firstTarget === null || this.firstTarget === target)) return null;
    // What was to be repaired at the first choice, and answered by another one meanwhile.
    return this.fallback ?? this.failures[0]?.judgement.reason ?? null;
  }
}

/** How much it took to come to an end, for the headers of every answer. */
export function addCountHeaders(to: HeaderPairs, run: Pick<RequestRun, 'attempts' | 'queueMs'>): void {
  to.push('x-breakwater-attempts', String(run.attempts), 'x-breakwater-queue-ms', String(Math.round(run.queueMs)));
}
