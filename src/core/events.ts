import type { Instant } from './clock.ts';
import type { ErrorCode } from './errors.ts';
import type { FailureKind, Phase, TokenUsage } from './facts.ts';
import type { Reason, Verdict } from './outcome.ts';
import type { Shortfall } from './quality.ts';
import type { Operation, Protocol, SchedulingClass } from './request.ts';
import type { ResourceKind } from './resource.ts';

/**
 * Everything that Breakwater says about what it does. One request's events, in order, are its timeline.
 * The engine emits; telemetry and users' listeners read. State is changed before the event is emitted.
 */

interface RequestEvent {
  /** Our id of the request, as in `x-request-id`. */
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
}

/** No target can start now: the request waits. Absent where it starts at once. */
export interface QueuedEvent extends RequestEvent {
  readonly type: 'queued';
  /** What each target is held back by. */
  readonly blockers: readonly Blocker[];
}

/** Why a target can't start now, and until when as far as known (null: until another request ends; Infinity: for good). */
export interface Blocker {
  readonly target: string;
  readonly kind: ResourceKind | 'incapable';
  readonly waitMs: number | null;
}

/** - `hedge`: `policy.hedge` says so
 *  - `probe`: the other one is the probe of a half-open breaker
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
  /** Which of the provider's credentials, counted from 1; never the key itself. */
  readonly credential: number;
  /** Time spent in the queue before this attempt, in milliseconds. */
  readonly queuedMs: number;
  readonly probe: boolean;
  /** Why it runs beside another one that is still silent; null: it doesn't. */
  readonly race: RaceCause | null;
}

/** An attempt ended, well or not. */
export interface AttemptEndEvent extends RequestEvent {
  readonly type: 'attempt_end';
  readonly attempt: number;
  readonly target: string;
  readonly provider: string;
  /** Which of the provider's keys, counted from 1. */
  readonly credential: number;
  readonly durationMs: number;
  /** Until the first content (streams) or the whole answer (plain); null if neither came. */
  readonly firstContentMs: number | null;
  readonly verdict: Verdict | 'cancelled';
  readonly reason: Reason | null;
  readonly status: number | null;
  readonly failure: FailureKind | null;
  /** What a whole answer lacked; null: nothing, or there was none. */
  readonly quality: Shortfall | null;
  readonly phase: Phase | null;
  /** Sanitised, bounded. */
  readonly message: string | null;
  readonly usage: TokenUsage | null;
  /** In US dollars; absent where usage or prices are not known. */
  readonly costUsd?: number;
  readonly upstreamRequestId: string | null;
}

/** What calls used and cost whose answers did not go to the caller: discarded, empty, too late. */
export interface Wasted {
  readonly usage: TokenUsage;
  /** In US dollars; null: one of the calls has no price. */
  readonly costUsd: number | null;
}

/** The request pauses before it asks again. */
export interface BackoffEvent extends RequestEvent {
  readonly type: 'backoff';
  readonly delayMs: number;
  readonly reason: Reason;
}

/** A fact worth a line in the timeline: a field dropped for a target, a keep-alive begun, … */
export interface NoteEvent extends RequestEvent {
  readonly type: 'note';
  readonly note: string;
  readonly target?: string;
  /** What an operator should find in the log without asking for every step; `warn`: and may have to look at. */
  readonly notable?: 'info' | 'warn';
}

/** The first byte of the one answer goes downstream. */
export interface CommittedEvent extends RequestEvent {
  readonly type: 'committed';
  readonly target: string;
  readonly attempt: number;
  /** Why the attempt was sent beside another one, which it has outrun; null: it was sent alone. */
  readonly race: RaceCause | null;
}

export const REQUEST_OUTCOMES = ['success', 'failed', 'refused', 'cancelled', 'interrupted'] as const;
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number];

export const CACHE_USES = ['hit', 'stale', 'coalesced'] as const;
export type CacheUse = (typeof CACHE_USES)[number];

/** The request is over; nothing follows. Emitted exactly once for every `received`. */
export interface FinishedEvent extends RequestEvent {
  readonly type: 'finished';
  readonly outcome: RequestOutcome;
  readonly protocol: Protocol;
  readonly operation: Operation;
  readonly model: string;
  readonly client: string;
  readonly priority: SchedulingClass;
  readonly stream: boolean;
  /** Status sent to the caller; 499 where the caller left first. */
  readonly status: number;
  readonly code: ErrorCode | 'upstream_error' | null;
  /** Who really answered; null if nobody did. */
  readonly target: string | null;
  /** Upstream calls made. */
  readonly attempts: number;
  readonly fallback: Reason | null;
  /** Where the answer was not made for this request: kept (`hit`; `stale` beyond its time), or made for another at the same time. */
  readonly cache: CacheUse | null;
  readonly queueMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  /** Sum over all upstream calls that reported usage, discarded ones included. */
  readonly usage: TokenUsage | null;
  /** Of all of them, in US dollars; null: unknown, or one of them has no price. */
  readonly costUsd: number | null;
  /** The part of both that brought no answer; absent: none. */
  readonly wasted?: Wasted;
}

export const BREAKER_STATES = ['closed', 'open', 'half-open', 'isolated'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** A request was turned away before a target was chosen for it: neither `received` nor `finished` is emitted. */
export interface RejectedEvent extends RequestEvent {
  readonly type: 'rejected';
  readonly status: number;
  readonly code: ErrorCode;
  /** The message in the response to the caller. */
  readonly message: string;
  readonly method: string;
  /** Without its query; empty: it could not be read as HTTP. */
  readonly path: string;
  readonly protocol: Protocol;
  readonly operation: Operation;
  /** Null: not known when it was turned away. */
  readonly model: string | null;
  readonly client: string | null;
}

/** A target's breaker changed its state. */
export interface BreakerEvent {
  readonly type: 'breaker';
  readonly at: Instant;
  readonly target: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  /** How long it stays open; null where it does not, or until reset by hand. */
  readonly openForMs: number | null;
}

/** A target cools down, or a credential is quarantined (`bench`). */
export interface CooldownEvent {
  readonly type: 'cooldown';
  readonly at: Instant;
  /** A target's name, one of its credentials (`provider/model#2`), or a credential for all its models (`provider#2`). */
  readonly subject: string;
  readonly kind: 'cooldown' | 'bench';
  readonly forMs: number;
  readonly reason: Reason;
  /** Of a credential: the refusal that it is quarantined for, masked and bounded. */
  readonly why?: string;
}

/** Something an operator should know: a broken store, an unreadable config at reload, a dropped log line. */
export interface WarningEvent {
  readonly type: 'warning';
  readonly at: Instant;
  readonly message: string;
  readonly detail?: string;
}

/** The gateway as a whole: started, reloaded, draining, stopped. */
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

export type EventType = BreakwaterEvent['type'];
export type EventOf<T extends EventType> = Extract<BreakwaterEvent, { type: T }>;
export type Listener<T extends EventType = EventType> = (event: EventOf<T>) => void;

/** Where the engine says what happened. */
export interface EventSink {
  emit(event: BreakwaterEvent): void;
}

/** A sink that people can listen to. A listener that throws hurts nobody: its error goes to `onListenerError`. */
export class EventBus implements EventSink {
  readonly #all = new Set<(event: BreakwaterEvent) => void>();
  readonly #byType = new Map<EventType, Set<(event: never) => void>>();
  readonly #onListenerError: (error: unknown, type: EventType) => void;

  constructor(onListenerError: (error: unknown, type: EventType) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Listens to one type of event; returns how to stop. */
  on<T extends EventType>(type: T, listener: Listener<T>): () => void {
    let listeners = this.#byType.get(type);
    if (listeners === undefined) this.#byType.set(type, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Listens to every event; returns how to stop. */
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
