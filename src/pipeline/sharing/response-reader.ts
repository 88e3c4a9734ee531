/**
 * A request that reads a shared or cached response: its own identity, deadline and headers, and its own connection. The request that
 * produces the response is both a reader and an `ActiveRequest`, which emits the events of both.
 */
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { CacheUse, EventSink, FinishedEvent, RequestOutcome } from '../../core/events.ts';
import { valueIn, type HeaderPairs } from '../../core/headers.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { emitReceived } from '../request/received.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { DO_NOT_RETRY } from '../../wire/clients.ts';
import { Downstream, type UpstreamRefusal } from '../delivery/downstream.ts';
import { keepAliveMsOf } from '../request/gateway-request.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { Route } from '../route/route.ts';
import type { Running, RunningList } from '../request/running-list.ts';
import type { ResponseSink } from '../request/response-sink.ts';
import { bodyFor, canServe, replayHeaders, headersInForm, type WholeResponse } from './whole-response.ts';

/** How long a reader may delay the other readers in total, so that a burst does not count as slowness; in milliseconds. */
const STALL_BUDGET_MS = 1_000;

/** The part of the engine that readers use. */
export interface ReaderParts {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly running: RunningList;
}

/** The outcome for one reader. */
export interface ReaderEnd {
  readonly outcome: RequestOutcome;
  readonly status: number;
  readonly code: FinishedEvent['code'];
  readonly target: string | null;
  readonly cache: CacheUse | null;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
}

/** What a shared response needs of a reader: a request of this instance, or the recording for other instances. */
export interface SharedReader {
  readonly deadline: Instant;
  readonly priority: SchedulingClass;
  readonly isOver: boolean;
  /** It has unread bytes; further chunks stay in the log. */
  readonly isBehind: boolean;
  /** What it has taken from the log, in chunks and bytes. */
  chunks: number;
  bytes: number;
  /** How long it may still delay the other readers, in milliseconds. */
  stallBudgetMs: number;
  follow(response: ResponseReaderOwner): void;
  watchDeadline(onDeadline: (reader: ResponseReader) => void): void;
  canFollow(head: ResponseHead): boolean;
  open(head: ResponseHead): void;
  write(chunks: readonly Uint8Array[]): boolean;
  readerMoved(): boolean;
  end(head: ResponseHead): void;
  take(response: WholeResponse, mark: CacheUse): void;
  fail(error: BreakwaterError, ownHeaders: HeaderPairs | null, isEarly?: boolean): void;
  refuse(refusal: UpstreamRefusal, shared: readonly string[]): void;
  leave(isEarly?: boolean): void;
  drop(fault: unknown): void;
}

/** Called by readers of a response. */
export interface ResponseReaderOwner {
  /** The reader has ended. */
  onGone(reader: SharedReader): void;
  onDrained(): void;
}

/** The beginning of a response that is read while it is received. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderPairs;
  /** The headers without those that differ per request. */
  readonly shared: readonly string[];
  readonly isEventStream: boolean;
}

export class ResponseReader implements Running, SharedReader {
  older: Running | null = null;
  newer: Running | null = null;
  readonly request: GatewayRequest;
  readonly deadline: Instant;
  readonly #engine: ReaderParts;
  readonly #sink: ResponseSink;
  readonly #downstream: Downstream;
  readonly #isEventStream: boolean;
  #response: ResponseReaderOwner | null = null;
  #timer: Timer | null = null;
  #resolve: (() => void) | null = null;
  #firstContentMs: number | null = null;
  #isOpen = false;
  /** Its caller has unread bytes; further chunks stay in the log. */
  isBehind = false;
  isOver = false;
  /** The gateway has stopped. */
  isStopped = false;
  /** What it has taken from the log, in chunks and bytes. */
  chunks = 0;
  bytes = 0;
  /** How long it may still delay the other readers, in milliseconds. */
  stallBudgetMs = STALL_BUDGET_MS;
  /** It produces the response: its `ActiveRequest` emits its events. */
  isFirst = false;
  /** Its outcome, if it ended before its `ActiveRequest`. */
  ownEnd: ReaderEnd | null = null;

  constructor(engine: ReaderParts, request: GatewayRequest, route: Route, sink: ResponseSink) {
    this.#engine = engine;
    this.request = request;
    this.deadline = request.deadlineGiven ? request.deadline : request.receivedAt + route.deadlineMs;
    this.#sink = sink;
    this.#isEventStream = request.facts.stream && request.facts.operation !== 'bytes';
    this.#downstream = new Downstream(sink, engine.clock, {
      dialect: request.dialect,
      requestId: request.id,
      program: request.program ?? null,
      keepAliveMs: keepAliveMsOf(request, route.policy),
      owner: this,
    });
    request.caller.onLeave = () => this.leave();
  }

  get priority(): SchedulingClass {
    return this.request.priority;
  }

  /** Emits its own events from here on. */
  begin(): void {
    const { request } = this;
    this.#engine.running.add(this);
    emitReceived(this.#engine.events, request, request.receivedAt, this.deadline);
  }

  /** Emits its own events, because no `ActiveRequest` is needed. */
  emitOwnEvents(): void {
    this.isFirst = false;
    this.begin();
    if (this.ownEnd !== null) this.#emitFinished(this.ownEnd);
  }

  /** Reads `response` from its beginning. */
  follow(response: ResponseReaderOwner): void {
    this.#response = response;
  }

  /** Ends the wait for the beginning of the response at the reader's own deadline. */
  watchDeadline(onDeadline: (reader: ResponseReader) => void): void {
    if (this.#timer !== null || this.isOver || this.#isOpen) return;
    this.#timer = this.#engine.clock.schedule(this.deadline - this.#engine.clock.now(), () => onDeadline(this));
  }

  /** Resolves when it is over. */
  whenOver(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  note(note: string): void {
    this.#engine.events.emit({ type: 'note', requestId: this.request.id, at: this.#engine.clock.now(), note });
  }

  /** True if the response is in the form that the request asks for. */
  canFollow(head: ResponseHead): boolean {
    return head.isEventStream === this.#isEventStream;
  }

  open(head: ResponseHead): void {
    this.#begins();
    const headers = this.isFirst ? head.headers : replayHeaders(this.request, head.shared, 'coalesced', null);
    this.#downstream.commit(head.status, headers, head.isEventStream, metadataComment(headers));
  }

  /** False: its caller is behind. */
  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#downstream.write(chunks)) return true;
    this.isBehind = true;
    this.#downstream.onDrain(() => {
      this.isBehind = false;
      if (!this.isOver) this.#response?.onDrained();
    });
    return false;
  }

  readerMoved(): boolean {
    return this.#downstream.readerMoved();
  }

  /** The response it followed is delivered completely. */
  end(head: ResponseHead): void {
    this.#downstream.end();
    this.#finish('success', head.status, null, valueIn(head.shared, 'x-breakwater-target'), 'coalesced', false);
  }

  /** Responds with its own complete response, with its own headers. */
  respondOwn(status: number, headers: HeaderPairs, body: Uint8Array): void {
    this.#begins();
    this.#sendWhole(status, headers, body);
    this.#over();
  }

  /** Responds with a complete response produced by another request. */
  take(response: WholeResponse, mark: CacheUse): void {
    const { request } = this;
    const ageMs = mark === 'coalesced' ? null : this.#engine.clock.epochMs() - response.madeAtMs;
    const target = valueIn(response.headers, 'x-breakwater-target');
    if (response.refusal !== null) {
      const headers = [...replayHeaders(request, response.headers, mark, ageMs), 'content-length', String(response.body.byteLength)];
      this.#downstream.refuse({
        status: response.status,
        headers,
        body: response.body,
        retry: DO_NOT_RETRY,
        words: response.refusal,
        isFinal: true,
        requestAtFault: true,
      });
      return this.#finish('failed', response.status, 'upstream_error', null, mark, true);
    }
    if (!canServe(response, request)) return this.fail(tooLargeToConvert(), null);
    this.#begins();
    const body = bodyFor(response, request);
    const headers = replayHeaders(request, headersInForm(response.headers, response.isStream, this.#isEventStream), mark, ageMs);
    if (response.status !== 204) headers.push('content-length', String(body.byteLength));
    this.#sendWhole(response.status, headers, body);
    this.#finish('success', response.status, null, target, mark, true);
  }

  fail(error: BreakwaterError, ownHeaders: HeaderPairs | null, isEarly = true): void {
    const headers = this.isFirst && ownHeaders !== null ? ownHeaders : ['x-breakwater-attempts', '0', 'x-breakwater-queue-ms', '0'];
    const outcome = this.#isOpen ? 'interrupted' : error.refused ? 'refused' : 'failed';
    this.#downstream.fail(error, headers);
    this.#finish(outcome, error.status, error.code, null, null, isEarly);
  }

  refuse(refusal: UpstreamRefusal, shared: readonly string[]): void {
    const { body } = refusal;
    const own = this.isFirst ? refusal.headers : replayHeaders(this.request, shared, 'coalesced', null);
    this.#downstream.refuse({ ...refusal, headers: this.isFirst ? own : [...own, 'content-length', String(body.byteLength)] });
    this.#finish('failed', refusal.status, 'upstream_error', null, this.isFirst ? null : 'coalesced', false);
  }

  /** Its caller disconnected, or the response ends without an error. */
  leave(isEarly = true): void {
    this.#downstream.leave();
    this.#finish('cancelled', 499, null, null, null, isEarly);
  }

  /** Ends after an internal error, in whatever form is still possible. */
  drop(fault: unknown): void {
    const { clock, events } = this.#engine;
    const detail = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
    events.emit({ type: 'warning', at: clock.now(), message: `internal error in request ${this.request.id}`, detail });
    try {
      this.leave();
      this.#sink.abort();
    } catch {
      this.#finish('cancelled', 499, null, null, null, true);
    }
  }

  /** The gateway stops. */
  stop(error: BreakwaterError): void {
    this.isStopped = true;
    if (!this.isOver) this.fail(error, null);
  }

  #begins(): void {
    this.#isOpen = true;
    this.#stopTimer();
    this.#firstContentMs = this.#engine.clock.now() - this.request.receivedAt;
  }

  #sendWhole(status: number, headers: HeaderPairs, body: Uint8Array): void {
    if (!this.#downstream.isStarted) return this.#downstream.respond(status, headers, body);
    this.#downstream.endWith(Buffer.concat([encodeComment(metadataComment(headers)), body]));
  }

  #finish(
    outcome: RequestOutcome,
    status: number,
    code: FinishedEvent['code'],
    target: string | null,
    cache: CacheUse | null,
    isEarly: boolean,
  ): void {
    if (this.isOver) return;
    this.#over();
    const durationMs = this.#engine.clock.now() - this.request.receivedAt;
    const end: ReaderEnd = { outcome, status, code, target, cache, durationMs, firstContentMs: this.#firstContentMs };
    if (!this.isFirst) this.#emitFinished(end);
    else if (isEarly) this.ownEnd = end;
    this.#response?.onGone(this);
    this.#resolve?.();
  }

  #over(): void {
    this.isOver = true;
    this.#stopTimer();
    this.request.caller.onLeave = null;
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #emitFinished(end: ReaderEnd): void {
    const { request } = this;
    this.#engine.running.remove(this);
    this.#engine.events.emit({
      type: 'finished',
      requestId: request.id,
      at: this.#engine.clock.now(),
      outcome: end.outcome,
      protocol: request.dialect.protocol,
      operation: request.facts.operation,
      model: request.facts.model,
      client: request.client.name,
      priority: request.priority,
      stream: request.facts.stream,
      status: end.status,
      code: end.code,
      target: end.target,
      attempts: 0,
      fallback: null,
      cache: end.cache,
      queueMs: 0,
      durationMs: end.durationMs,
      firstContentMs: end.firstContentMs,
      usage: null,
      costUsd: end.outcome === 'success' ? 0 : null,
    });
  }
}

/** The metadata as a comment, for a stream whose headers were sent when keep-alive began. */
function metadataComment(headers: readonly string[]): string {
  let comment = 'breakwater';
  for (const name of ['target', 'attempts', 'fallback', 'dropped', 'quality', 'cache']) {
    const value = valueIn(headers, `x-breakwater-${name}`);
    if (value !== null) comment += ` ${name}=${value.replaceAll(', ', ',')}`;
  }
  return comment;
}

function tooLargeToConvert(): BreakwaterError {
  const message = 'the shared response to an identical request is too large to be converted to the requested form: retry';
  return new BreakwaterError('all_targets_failed', message, { status: 502 });
}
