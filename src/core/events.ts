import type { Instant } from './clock.ts';
import type { ErrorCode } from './errors.ts';
import type { FailureKind, Phase, TokenUsage } from './facts.ts';
import type { Reason, Verdict } from './outcome.ts';
import type { FailedQualityCheck } from './quality.ts';
import type { PriceBasis } from './price.ts';
import type { Operation, Protocol, SchedulingClass } from './request.ts';
import type { TraceIds } from './request-trace.ts';
import type { ResourceKind } from './resource.ts';

/**
 * The events of Breakwater. The events of one request, in order, are its timeline.
 * The engine emits them; telemetry and users' listeners receive them. State changes before its event is emitted.
 */

interface RequestEvent {
  /** The id of the request, as in `x-request-id`. */
  readonly requestId: string;
  readonly at: Instant;
}

/** A request was accepted: authenticated, decoded and resolved to a route. */
export interface ReceivedEvent extends RequestEvent {
  readonly type: 'received';
  readonly protocol: Protocol;
  readonly operation: Operation;
  readonly model: string;
  readonly client: string;
  readonly priority: SchedulingClass;
  readonly stream: boolean;
  /** Milliseconds from `at` to the deadline. */
  readonly deadlineMs: number;
  readonly bodyBytes: number;
  readonly inputTokens: number;
  readonly outputBound: number | null;
  /** Absent: traces are off. */
  readonly trace?: TraceIds;
}

/** No target can start now: the request is queued. Not emitted if it starts at once. */
export interface QueuedEvent extends RequestEvent {
  readonly type: 'queued';
  /** What blocks each target. */
  readonly blockers: readonly Blocker[];
}

/** Why a target can't start now, and for how long (null: until another request ends; Infinity: permanently). */
export interface Blocker {
  readonly target: string;
  readonly kind: ResourceKind | 'incapable';
  readonly waitMs: number | null;
}

/** Why a second attempt runs beside another one:
 *  - `hedge`: by `policy.hedge`
 *  - `probe`: the other one probes a half-open breaker
 *  - `rescue`: the other one has been silent for too long
 */
export const RACE_CAUSES = ['hedge', 'probe', 'rescue'] as const;
export type RaceCause = (typeof RACE_CAUSES)[number];

/** An attempt is sent. `attempt` counts from 1 over all targets. */
export interface AttemptEvent extends RequestEvent {
  readonly type: 'attempt';
  readonly attempt: number;
  readonly target: string;
  readonly provider: string;
  /** The number of the provider's credential, from 1; never the key itself. */
  readonly credential: number;
  /** Time spent in the queue before this attempt, in milliseconds. */
  readonly queuedMs: number;
  readonly probe: boolean;
  /** Why it runs beside another attempt; null: it runs alone. */
  readonly race: RaceCause | null;
  /** The id of its span; absent: traces are off. */
  readonly spanId?: string;
}

/** An attempt ended, with or without success. */
export interface AttemptEndEvent extends RequestEvent {
  readonly type: 'attempt_end';
  readonly attempt: number;
  readonly target: string;
  readonly provider: string;
  /** The number of the provider's credential, from 1. */
  readonly credential: number;
  readonly durationMs: number;
  /** Until the first content (streaming) or the whole response (non-streaming); null: neither arrived. */
  readonly firstContentMs: number | null;
  readonly verdict: Verdict | 'cancelled';
  readonly reason: Reason | null;
  readonly status: number | null;
  readonly failure: FailureKind | null;
  /** The failed quality check of a whole response; null: none, or no response. */
  readonly quality: FailedQualityCheck | null;
  readonly phase: Phase | null;
  /** Sanitised, bounded. */
  readonly message: string | null;
  readonly usage: TokenUsage | null;
  /** In US dollars; absent where usage or prices are not known. */
  readonly costUsd?: number;
  /** What it used beyond `usage`, by estimate, as its response was cut off or reported none; absent: nothing. */
  readonly estimated?: TokenUsage;
  /** The cost of `estimated`, in US dollars; absent: nothing, or not known. */
  readonly estimatedUsd?: number;
  readonly upstreamRequestId: string | null;
}

/** Usage and cost of calls whose responses were not returned to the caller: discarded, empty, too late. */
export interface Wasted {
  /** As far as it was reported. */
  readonly usage: TokenUsage;
  /** In US dollars; null: unknown, or one of the calls has no price. */
  readonly costUsd: number | null;
  /** As that of the request; absent: none. */
  readonly unmeasuredCalls?: number;
}

/** A call that its provider bills. */
export interface PaidCall {
  /** `provider/model`. */
  readonly target: string;
  /** Null: the response reported none. */
  readonly usage: TokenUsage | null;
  /** What it used beyond `usage`, by estimate; absent: nothing. */
  readonly estimated?: TokenUsage;
  /** Its response was not returned to the caller. */
  readonly wasted: boolean;
  /** Absent: not known. */
  readonly priceBasis?: PriceBasis;
}

/** The request waits before its next attempt. */
export interface BackoffEvent extends RequestEvent {
  readonly type: 'backoff';
  readonly delayMs: number;
  readonly reason: Reason;
}

/** A note in the timeline: a field dropped for a target, keep-alives started, … */
export interface NoteEvent extends RequestEvent {
  readonly type: 'note';
  readonly note: string;
  readonly target?: string;
  /** The log level at which the note is logged without `debug`; `warn`: it may need attention. */
  readonly notable?: 'info' | 'warn';
}

/** The first byte of the response is sent downstream. */
export interface CommittedEvent extends RequestEvent {
  readonly type: 'committed';
  readonly target: string;
  readonly attempt: number;
  /** Why the attempt ran beside another one, which lost the race; null: it ran alone. */
  readonly race: RaceCause | null;
}

export const REQUEST_OUTCOMES = ['success', 'failed', 'refused', 'cancelled', 'interrupted'] as const;
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number];

export const CACHE_USES = ['hit', 'stale', 'coalesced'] as const;
export type CacheUse = (typeof CACHE_USES)[number];

/** What the cost of a request does not contain. */
export interface OtherCost {
  /** Calls that are billed, but reported no usage, or only that of their beginning; absent: none. Of these, `costUsd` has what they reported. */
  readonly unmeasuredCalls?: number;
  /** The cost of what these calls did not report, by estimate, in US dollars; absent: none is known. */
  readonly estimatedUsd?: number;
  /** The cost of its questions to quality judges, known and estimated, in US dollars; they are requests with events of their own. Absent: none. */
  readonly checksUsd?: number;
}

/** The request has ended; no event follows. Emitted exactly once for every `received`. */
export interface FinishedEvent extends RequestEvent, OtherCost {
  readonly type: 'finished';
  readonly outcome: RequestOutcome;
  readonly protocol: Protocol;
  readonly operation: Operation;
  readonly model: string;
  readonly client: string;
  readonly priority: SchedulingClass;
  readonly stream: boolean;
  /** Status sent to the caller; 499 if the caller disconnected first. */
  readonly status: number;
  readonly code: ErrorCode | 'upstream_error' | null;
  /** The target of the response; null: none. */
  readonly target: string | null;
  /** Upstream calls made. */
  readonly attempts: number;
  readonly fallback: Reason | null;
  /** The source of a shared response: the cache (`hit`; `stale`: expired), or an identical request in flight (`coalesced`); null: not shared. */
  readonly cache: CacheUse | null;
  readonly queueMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  /** Sum over all upstream calls that reported usage, including discarded ones. */
  readonly usage: TokenUsage | null;
  /** Cost of all calls that reported usage, in US dollars; null: unknown, or one of them has no price. */
  readonly costUsd: number | null;
  /** The part of usage and cost without a response to the caller; absent: none. */
  readonly wasted?: Wasted;
  /** Of an error that Breakwater returned, as the caller received it; absent: none. */
  readonly message?: string;
  /** Absent: none. */
  readonly calls?: readonly PaidCall[];
}

export const BREAKER_STATES = ['closed', 'open', 'half-open', 'isolated'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** A request was rejected before a target was chosen: neither `received` nor `finished` is emitted. */
export interface RejectedEvent extends RequestEvent {
  readonly type: 'rejected';
  readonly status: number;
  readonly code: ErrorCode;
  /** The message in the response to the caller. */
  readonly message: string;
  readonly method: string;
  /** Without the query; empty: the request was not valid HTTP. */
  readonly path: string;
  readonly protocol: Protocol;
  readonly operation: Operation;
  /** Null: not known at the rejection. */
  readonly model: string | null;
  readonly client: string | null;
  /**
   * Of a request that no client was found for: `former`, a configuration of the last day accepted its key (or requests without one), and
   * `client` is that client; `unknown`, none did. Absent: it was accepted, or there was none.
   */
  readonly keyState?: 'former' | 'unknown';
  /** A configuration of the last day had its model. */
  readonly hadModel?: true;
  /** Absent: traces are off. */
  readonly trace?: TraceIds;
}

/** A target's breaker changed its state. */
export interface BreakerEvent {
  readonly type: 'breaker';
  readonly at: Instant;
  readonly target: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  /** How long it stays open; null: it does not, or until a manual reset. */
  readonly openForMs: number | null;
}

/** A cooldown of a target, or the quarantine of a credential. */
export interface CooldownEvent {
  readonly type: 'cooldown';
  readonly at: Instant;
  /** A target's name, one of its credentials (`provider/model#2`), or a credential for all its models (`provider#2`). */
  readonly subject: string;
  readonly kind: 'cooldown' | 'quarantine';
  readonly forMs: number;
  readonly reason: Reason;
  /** Of a credential: the refusal that caused the quarantine, masked and truncated. */
  readonly why?: string;
}

/** A warning for the operator: a broken store, an invalid config at reload, a dropped log line. */
export interface WarningEvent {
  readonly type: 'warning';
  readonly at: Instant;
  readonly message: string;
  readonly detail?: string;
}

/** A state of the gateway: started, reloaded, draining, stopped. */
export interface LifecycleEvent {
  readonly type: 'lifecycle';
  readonly at: Instant;
  readonly state: 'started' | 'reloaded' | 'reload_failed' | 'store_recovered' | 'fleet_changed' | 'fleet_lost' | 'draining' | 'stopped';
  readonly detail?: string;
  /** Of `started`: version, config file, store, proxy. */
  readonly facts?: Readonly<Record<string, string>>;
}

export type BreakwaterEvent =
  | ReceivedEvent
  | QueuedEvent
  | AttemptEvent
  | AttemptEndEvent
  | BackoffEvent
  | NoteEvent
  | CommittedEvent
  | FinishedEvent
  | RejectedEvent
  | BreakerEvent
  | CooldownEvent
  | WarningEvent
  | LifecycleEvent;

/** An event whose optional members are added one by one, which costs less than spreading them. */
export type EventDraft<E extends BreakwaterEvent> = { -readonly [Name in keyof E]: E[Name] };

export type EventType = BreakwaterEvent['type'];
export type EventOf<T extends EventType> = Extract<BreakwaterEvent, { type: T }>;
export type Listener<T extends EventType = EventType> = (event: EventOf<T>) => void;

/** Receives the events of the engine. */
export interface EventSink {
  emit(event: BreakwaterEvent): void;
}

/** An event sink with listeners. The error of a listener that throws is passed to `onListenerError`. */
export class EventBus implements EventSink {
  readonly #all = new Set<(event: BreakwaterEvent) => void>();
  readonly #byType = new Map<EventType, Set<(event: never) => void>>();
  readonly #onListenerError: (error: unknown, type: EventType) => void;

  constructor(onListenerError: (error: unknown, type: EventType) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Adds a listener for one type of event; returns a function that removes it. */
  on<T extends EventType>(type: T, listener: Listener<T>): () => void {
    let listeners = this.#byType.get(type);
    if (listeners === undefined) this.#byType.set(type, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Adds a listener for all events; returns a function that removes it. */
  onAny(listener: (event: BreakwaterEvent) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  emit(event: BreakwaterEvent): void {
    for (const listener of this.#all) this.#call(listener, event);
    const listeners = this.#byType.get(event.type);
    if (listeners !== undefined) for (const listener of listeners) this.#call(listener as (event: BreakwaterEvent) => void, event);
  }

  #call(listener: (event: BreakwaterEvent) => void, event: BreakwaterEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.#onListenerError(error, event.type);
    }
  }
}
