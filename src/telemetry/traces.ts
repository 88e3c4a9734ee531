import type { Clock } from '../core/clock.ts';
import type { BreakwaterEvent, FinishedEvent, ReceivedEvent } from '../core/events.ts';

/**
 * The events of the requests that run and of the last ones that finished, kept as they came: what timelines and the
 * requests file are made of. All of it is bounded; what is given up first is the oldest.
 */

/** An event that belongs to one request. */
export type RequestScopedEvent = Extract<BreakwaterEvent, { requestId: string }>;

export interface Trace {
  /** Counts the requests from 1, in the order in which they were received. */
  readonly sequence: number;
  readonly received: ReceivedEvent;
  /** Wall clock at `received.at`, in milliseconds since the epoch. */
  readonly startedEpochMs: number;
  /** Everything between received and finished, in order. */
  readonly events: RequestScopedEvent[];
  /** Events beyond the bounds, not kept. */
  skippedEvents: number;
  finished: FinishedEvent | null;
}

export interface TraceBounds {
  /** Finished requests kept. Default 1,000. */
  readonly finishedMax?: number;
  /** Running requests kept; the oldest is given up first. Default 10,000. */
  readonly runningMax?: number;
  /** Events kept of one request, besides received and finished. Default 200. */
  readonly eventsPerRequestMax?: number;
  /** Events kept of all requests. Default 50,000. */
  readonly eventsMax?: number;
}

export class Traces {
  readonly #clock: Clock;
  readonly #bounds: Required<TraceBounds>;
  readonly #running = new Map<string, Trace>();
  /** In the order in which they finished. */
  readonly #finished = new Map<string, Trace>();
  #sequence = 0;
  #eventCount = 0;

  constructor(clock: Clock, bounds: TraceBounds = {}) {
    this.#clock = clock;
    this.#bounds = { finishedMax: 1_000, runningMax: 10_000, eventsPerRequestMax: 200, eventsMax: 50_000, ...bounds };
  }

  /** Keeps an event; gives the trace it belongs to, or undefined if that is not kept (any more). */
  record(event: RequestScopedEvent): Trace | undefined {
    if (event.type === 'received') return this.#begin(event);
    const trace = this.#running.get(event.requestId);
    if (trace === undefined) return undefined;
    if (event.type === 'finished') this.#finish(trace, event);
    else this.#append(trace, event);
    return trace;
  }

  find(requestId: string): Trace | undefined {
    return this.#running.get(requestId) ?? this.#finished.get(requestId);
  }

  /** All traces, the last received first. */
  newestFirst(): Trace[] {
    return [...this.#running.values(), ...this.#finished.values()].toSorted((a, b) => b.sequence - a.sequence);
  }

  #begin(received: ReceivedEvent): Trace {
    this.#forget(this.#running, received.requestId);
    if (this.#running.size >= this.#bounds.runningMax) this.#forgetOldest(this.#running);
    const startedEpochMs = this.#clock.epochMs() - Math.round(this.#clock.now() - received.at);
    const trace: Trace = { sequence: ++this.#sequence, received, startedEpochMs, events: [], skippedEvents: 0, finished: null };
    this.#running.set(received.requestId, trace);
    return trace;
  }

  #append(trace: Trace, event: RequestScopedEvent): void {
    while (this.#eventCount >= this.#bounds.eventsMax && this.#finished.size > 0) this.#forgetOldest(this.#finished);
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
    this.#forget(this.#finished, event.requestId);
    if (this.#finished.size >= this.#bounds.finishedMax) this.#forgetOldest(this.#finished);
    this.#finished.set(event.requestId, trace);
  }

  #forgetOldest(traces: Map<string, Trace>): void {
    const oldest = traces.keys().next();
    if (oldest.done !== true) this.#forget(traces, oldest.value);
  }

  #forget(traces: Map<string, Trace>, requestId: string): void {
    const trace = traces.get(requestId);
    if (trace === undefined) return;
    traces.delete(requestId);
    this.#eventCount -= trace.events.length;
  }
}
