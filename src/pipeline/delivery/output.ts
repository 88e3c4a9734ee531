/** The destination of one response, the best failed one so far, and the end of the request, emitted exactly once. */
import type { Instant } from '../../core/clock.ts';
import type { HeaderPairs } from '../../core/headers.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { EventDraft, FinishedEvent, RequestOutcome } from '../../core/events.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { FailedQualityCheck } from '../../core/quality.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Engine } from '../request/engine.ts';
import type { GatewayRequest, Spent } from '../request/gateway-request.ts';
import type { RetryState } from '../retry/retry-state.ts';
import type { RouteTarget } from '../route/route.ts';
import type { Outlet } from './downstream.ts';
import type { StalledReaders } from './stalled-readers.ts';

/** A complete response that failed its quality check, kept as a fallback. */
export interface KeptResponse {
  /** The number of its attempt. */
  readonly attempt: number;
  readonly target: RouteTarget;
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
  readonly usage: TokenUsage | null;
  readonly failedCheck: FailedQualityCheck;
  /** Length of its real content, in characters. */
  readonly length: number;
}

/** How the request ended for its own caller, where other readers share the response. */
export type OwnEnd = Pick<FinishedEvent, 'outcome' | 'status' | 'code' | 'target' | 'durationMs' | 'firstContentMs'> & {
  readonly cache: NonNullable<FinishedEvent['cache']> | null;
};

export interface DeliveryEngine extends Engine {
  /** Responses whose readers are behind. */
  readonly stalled: StalledReaders;
}

export class Output {
  readonly engine: DeliveryEngine;
  readonly active: ActiveRequest;
  readonly retry: RetryState;
  readonly downstream: Outlet;
  firstContentMs: number | null = null;
  readonly #shared: { readonly firstEnd: OwnEnd | null } | null;
  #kept: KeptResponse | null = null;
  #finished = false;

  /** `shared`: the response has other readers; null: its caller's alone. */
  constructor(
    engine: DeliveryEngine,
    active: ActiveRequest,
    retry: RetryState,
    downstream: Outlet,
    shared: { readonly firstEnd: OwnEnd | null } | null,
  ) {
    this.engine = engine;
    this.active = active;
    this.retry = retry;
    this.downstream = downstream;
    this.#shared = shared;
  }

  /** The best complete response so far that failed its quality check; null: none. */
  get kept(): KeptResponse | null {
    return this.#kept;
  }

  keep(kept: KeptResponse | null): void {
    const { held } = this.active;
    if (this.#kept !== null) held.release(this.#kept.body.byteLength);
    if (kept !== null) held.hold(kept.body.byteLength);
    this.#kept = kept;
  }

  /** The response was delivered whole. */
  succeed(attempt: Attempt): void {
    this.#finish('success', attempt.status, null, attempt.options.target);
  }

  succeedWithKept(kept: KeptResponse): void {
    this.#finish('success', kept.status, null, kept.target);
  }

  /** The caller disconnected, or the response broke off after it was committed. */
  breakOff(outcome: 'cancelled' | 'interrupted', status: number, code: FinishedEvent['code'], attempt: Attempt | null): void {
    this.#finish(outcome, status, code, attempt?.options.target ?? null);
  }

  /** Ends with an error of Breakwater's own, before or during the response. */
  fail(error: BreakwaterError): void {
    const { broken, attempts } = this.retry;
    const headers: HeaderPairs = [];
    addCountHeaders(headers, this);
    this.downstream.fail(error, headers);
    if (broken !== null) return this.breakOff('interrupted', broken.status, error.code, broken);
    this.#finish(error.refused && attempts === 0 ? 'refused' : 'failed', error.status, error.code, null, error.message);
  }

  /** Ends with the provider's own error. */
  failAsUpstream(status: number): void {
    this.#finish('failed', status, 'upstream_error', null);
  }

  failInternal(fault: unknown): void {
    this.active.warn(fault);
    try {
      this.fail(new BreakwaterError('internal_error', 'internal error in Breakwater; see its log'));
    } catch (again) {
      this.active.warn(again);
    }
  }

  /** Called on every path, after the end was emitted. */
  close(): void {
    this.active.close();
    if (this.#kept !== null) this.keep(null);
    if (!this.#finished) this.#finish('cancelled', 499, null, null);
    this.downstream.leave();
  }

  #finish(outcome: RequestOutcome, status: number, code: FinishedEvent['code'], target: RouteTarget | null, message?: string): void {
    if (this.#finished) return;
    this.#finished = true;
    const { active, retry } = this;
    active.group?.leave();
    const { request, engine, spending } = active;
    const at = engine.clock.now();
    const own = this.#shared?.firstEnd ?? null;
    const { spent, wasted, calls } = spending;
    active.closeClientPermit(at);
    chargeSession(request, spent, at);
    request.onSpent?.(spent);
    const event: EventDraft<FinishedEvent> = {
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
      attempts: retry.attempts,
      fallback: target === null ? null : retry.fallbackFor(target),
      cache: own?.cache ?? null,
      queueMs: active.queueMs,
      durationMs: own?.durationMs ?? at - active.startedAt,
      firstContentMs: own === null ? this.firstContentMs : own.firstContentMs,
      usage: spending.usage,
      costUsd: spending.costUsd,
    };
    if (spending.unmeasuredCalls > 0) event.unmeasuredCalls = spending.unmeasuredCalls;
    if (spending.estimatedUsd > 0) event.estimatedUsd = spending.estimatedUsd;
    if (spending.checksUsd > 0) event.checksUsd = spending.checksUsd;
    if (wasted !== undefined) event.wasted = wasted;
    if (message !== undefined && own === null) event.message = message;
    if (calls.length > 0) event.calls = calls;
    engine.events.emit(event);
  }
}

function chargeSession({ client, sessionKey }: GatewayRequest, { usage, chargedUsd }: Spent, now: Instant): void {
  if (client.sessions === undefined || sessionKey === null) return;
  client.sessions.record(now, sessionKey, usage === null ? 0 : usage.inputTokens + usage.outputTokens, chargedUsd);
}

/** Attempts and queue time, for the headers of every response. */
export function addCountHeaders(to: HeaderPairs, { retry, active }: Pick<Output, 'retry' | 'active'>): void {
  to.push('x-breakwater-attempts', String(retry.attempts), 'x-breakwater-queue-ms', String(Math.round(active.queueMs)));
}
