import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent, FinishedEvent, ReceivedEvent, RejectedEvent } from '../core/events.ts';
import { IdTable } from './id-table.ts';

/**
 * The events of running requests and of the last finished ones, for timelines and the request log. All lists are bounded; the oldest
 * entries are dropped first.
 */

/** An event of a request. */
export type RequestScopedEvent = Extract<BreakwaterEvent, { requestId: string }>;

export interface Trace {
  /** The number of the request, from 1, in the order of arrival. */
  readonly sequence: number;
  readonly received: ReceivedEvent;
  /** Wall clock at `received.at`, in milliseconds since the epoch. */
  readonly startedEpochMs: number;
  /** Everything between received and finished, in order. */
  events: RequestScopedEvent[];
  /** Number of events dropped at a limit. */
  skippedEvents: number;
  finished: FinishedEvent | null;
  /** Rejected, and counted among the errors that callers see; set by the feed. */
  isCallerVisible?: boolean;
}

export interface TraceBounds {
  /** Maximum number of finished requests. Default 1,000. */
  readonly finishedMax?: number;
  /** Maximum number of rejected requests. Default 500; stored separately, so that they do not displace the others. */
  readonly rejectedMax?: number;
  /** Maximum number of running requests; the oldest is dropped first. Default 10,000. */
  readonly runningMax?: number;
  /** Maximum number of events per request, besides received and finished. Default 200. */
  readonly eventsPerRequestMax?: number;
  /** Maximum number of events of all requests. Default 50,000. */
  readonly eventsMax?: number;
}

export class Traces {
  readonly #clock: Clock;
  readonly #bounds: Required<TraceBounds>;
  readonly #running = new IdTable<Trace>();
  readonly #finished: TraceRing;
  readonly #rejected: TraceRing;
  #sequence = 0;
  #eventCount = 0;

  constructor(clock: Clock, bounds: TraceBounds = {}) {
    this.#clock = clock;
    this.#bounds = { finishedMax: 1_000, rejectedMax: 500, runningMax: 10_000, eventsPerRequestMax: 200, eventsMax: 50_000, ...bounds };
    this.#finished = new TraceRing(this.#bounds.finishedMax);
    this.#rejected = new TraceRing(this.#bounds.rejectedMax);
  }

  /** Adds an event at the wall clock time `epochMs`; returns its trace, or undefined if that is not stored. */
  record(event: RequestScopedEvent, epochMs: number): Trace | undefined {
    if (event.type === 'received') return this.#begin(event, epochMs);
    if (event.type === 'rejected') return this.#reject(event, epochMs);
    const trace = this.#running.get(event.requestId);
    if (trace === undefined) return undefined;
    if (event.type === 'finished') this.#finish(trace, event);
    else this.#append(trace, event);
    return trace;
  }

  find(requestId: string): Trace | undefined {
    return this.#running.get(requestId) ?? this.#finished.find(requestId) ?? this.#rejected.find(requestId);
  }

  /** Running requests, oldest first. */
  longestRunning(countMax: number): Trace[] {
    const found: Trace[] = [];
    for (const trace of this.#running.values()) {
      if (found.length >= countMax) break;
      found.push(trace);
    }
    return found;
  }

  /** All traces, newest first. */
  newestFirst(): Trace[] {
    return [...this.#running.values(), ...this.#finished.all(), ...this.#rejected.all()].toSorted((a, b) => b.sequence - a.sequence);
  }

  #begin(received: ReceivedEvent, epochMs: number): Trace {
    this.#giveUp(this.#running.get(received.requestId));
    if (this.#running.size >= this.#bounds.runningMax) this.#giveUp(this.#running.oldest);
    const startedEpochMs = epochMs - Math.round(this.#clock.now() - received.at);
    const trace: Trace = { sequence: ++this.#sequence, received, startedEpochMs, events: [], skippedEvents: 0, finished: null };
    this.#running.set(received.requestId, trace);
    return trace;
  }

  #reject(event: RejectedEvent, epochMs: number): Trace {
    const trace: Trace = { ...rejectedTrace(event), sequence: ++this.#sequence, startedEpochMs: epochMs };
    this.#rejected.push(trace);
    return trace;
  }

  #append(trace: Trace, event: RequestScopedEvent): void {
    while (this.#eventCount >= this.#bounds.eventsMax) {
      const oldest = this.#finished.shift();
      if (oldest === undefined) break;
      this.#eventCount -= oldest.events.length;
    }
    if (trace.events.length >= this.#bounds.eventsPerRequestMax || this.#eventCount >= this.#bounds.eventsMax) {
      trace.skippedEvents++;
      return;
    }
    trace.events.push(event);
    this.#eventCount++;
  }

  #finish(trace: Trace, event: FinishedEvent): void {
    this.#running.delete(event.requestId);
    trace.finished = event;
    // A grown array has spare capacity; a copy has none.
    trace.events = trace.events.slice();
    const displaced = this.#finished.push(trace);
    if (displaced !== undefined) this.#eventCount -= displaced.events.length;
  }

  #giveUp(trace: Trace | undefined): void {
    if (trace === undefined) return;
    this.#running.delete(trace.received.requestId);
    this.#eventCount -= trace.events.length;
  }
}

/** A rejected request in the form of the others; missing values are empty, zero or null. */
function rejectedTrace(event: RejectedEvent): Omit<Trace, 'sequence' | 'startedEpochMs'> {
  const { requestId, at, protocol, operation, status, code } = event;
  const common = {
    requestId,
    at,
    protocol,
    operation,
    model: event.model ?? '',
    client: event.client ?? 'unknown',
    priority: 'normal',
    stream: false,
  } as const;
  return {
    received: {
      type: 'received',
      ...common,
      deadlineMs: 0,
      bodyBytes: 0,
      inputTokens: 0,
      outputBound: null,
      ...(event.trace !== undefined && { trace: event.trace }),
    },
    events: [event],
    skippedEvents: 0,
    finished: {
      type: 'finished',
      ...common,
      outcome: 'refused',
      status,
      code,
      target: null,
      attempts: 0,
      fallback: null,
      cache: null,
      queueMs: 0,
      durationMs: 0,
      firstContentMs: null,
      usage: null,
      costUsd: null,
    },
  };
}

/** The last finished traces, in the order of their ends. A ring buffer: removing the oldest entry of a Map costs a microsecond per request. */
class TraceRing {
  readonly #capacity: number;
  readonly #slots: (Trace | undefined)[] = [];
  #oldest = 0;
  #size = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Adds a trace; returns the one it displaces. */
  push(trace: Trace): Trace | undefined {
    if (this.#capacity === 0) return trace;
    const displaced = this.#size === this.#capacity ? this.shift() : undefined;
    this.#slots[(this.#oldest + this.#size++) % this.#capacity] = trace;
    return displaced;
  }

  /** Removes the oldest. */
  shift(): Trace | undefined {
    if (this.#size === 0) return undefined;
    const oldest = this.#slots[this.#oldest];
    this.#slots[this.#oldest] = undefined;
    this.#oldest = (this.#oldest + 1) % this.#capacity;
    this.#size--;
    return oldest;
  }

  /** A linear search, for requests of the admin API only. */
  find(requestId: string): Trace | undefined {
    return this.#slots.find((trace) => trace?.received.requestId === requestId);
  }

  all(): Trace[] {
    return this.#slots.filter((trace) => trace !== undefined);
  }
}
