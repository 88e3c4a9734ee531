/**
 * One request that reads an answer which it shares with others, or which was kept: its own identity, deadline, headers, and its own
 * side of the connection. Whoever brought the answer about has a run besides, which tells the story of both.
 */
import type { HeaderPairs } from '../../core/headers.ts';
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { CacheUse, EventSink, FinishedEvent, RequestOutcome } from '../../core/events.ts';
import { emitReceived } from '../request/received.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { DO_NOT_RETRY } from '../../wire/clients.ts';
import { Downstream, type UpstreamRefusal } from '../delivery/downstream.ts';
import { keepAliveMsOf } from '../request/gateway-request.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { Route } from '../route/route.ts';
import type { Running, RunningList } from '../request/running-list.ts';
import type { AnswerSink } from '../request/response-sink.ts';
import { bodyFor, canServe, headerIn, headersAgain, headersInForm, type WholeAnswer } from './whole-response.ts';

/** A burst is no slowness: once in its life a reader may be waited for so long by the others, in milliseconds. */
const PATIENCE_MS = 1_000;

/** What readers need of the engine. */
export interface ReaderParts {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly running: RunningList;
}

/** How it ended for one reader. */
export interface ReaderEnd {
  readonly outcome: RequestOutcome;
  readonly status: number;
  readonly code: FinishedEvent['code'];
  readonly target: string | null;
  readonly cache: CacheUse | null;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
}

/** What a reader tells the answer that it reads. */
export interface ReadAnswerOwner {
  /** It has no use for the answer any more. */
  onGone(reader: AnswerReader): void;
  onDrained(): void;
}

/** The beginning of an answer that is read while it comes. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: HeaderPairs;
  /** Without what is told anew to each request. */
  readonly shared: readonly string[];
  readonly isEventStream: boolean;
}

export class AnswerReader implements Running {
  older: Running | null = null;
  newer: Running | null = null;
  readonly request: GatewayRequest;
  readonly deadline: Instant;
  readonly #engine: ReaderParts;
  readonly #sink: AnswerSink;
  readonly #downstream: Downstream;
  readonly #isEventStream: boolean;
  readonly #seat: Seat;
  #answer: ReadAnswerOwner | null = null;
  #timer: Timer | null = null;
  #resolve: (() => void) | null = null;
  #firstContentMs: number | null = null;
  #isOpen = false;
  /** Its caller has bytes to take; what comes meanwhile waits in the log. */
  isBehind = false;
  isOver = false;
  /** The gateway would not wait for its end. */
  isStopped = false;
  /** Of the log: what it has taken, in pieces and in bytes. */
  pieces = 0;
  bytes = 0;
  /** For how long the others may still be held up for it, in milliseconds. */
  patienceMs = PATIENCE_MS;
  /** It brought the answer about: its run tells its story. */
  isFirst = false;
  /** How it ended, where that was not by the end of its own run. */
  ownEnd: ReaderEnd | null = null;

  constructor(engine: ReaderParts, request: GatewayRequest, route: Route, sink: AnswerSink) {
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
    this.#seat = { reader: this };
    request.caller.onLeave = leaverOf(this.#seat);
  }

  /** It tells its own story from here on. */
  begin(): void {
    const { request } = this;
    this.#engine.running.add(this);
    emitReceived(this.#engine.events, request, request.receivedAt, this.deadline);
  }

  /** No run is needed that would tell it. */
  tellOwnStory(): void {
    this.isFirst = false;
    this.begin();
    if (this.ownEnd !== null) this.#tellEnd(this.ownEnd);
  }

  /** Reads what comes of `answer` from its beginning. */
  follow(answer: ReadAnswerOwner): void {
    this.#answer = answer;
  }

  /** Until the answer begins it waits no longer than its own deadline. */
  watchDeadline(onDeadline: (reader: AnswerReader) => void): void {
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

  /** True if the log's own bytes are what it asked for. */
  canFollow(head: AnswerHead): boolean {
    return head.isEventStream === this.#isEventStream;
  }

  open(head: AnswerHead): void {
    this.#begins();
    const headers = this.isFirst ? head.headers : headersAgain(this.request, head.shared, 'coalesced', null);
    this.#downstream.commit(head.status, headers, head.isEventStream, wayComment(headers));
  }

  /** False: its caller is behind. */
  write(pieces: readonly Uint8Array[]): boolean {
    if (this.#downstream.write(pieces)) return true;
    this.isBehind = true;
    this.#downstream.onDrain(() => {
      this.isBehind = false;
      if (!this.isOver) this.#answer?.onDrained();
    });
    return false;
  }

  readerMoved(): boolean {
    return this.#downstream.readerMoved();
  }

  /** All of the answer that it followed has gone out. */
  end(head: AnswerHead): void {
    this.#downstream.end();
    this.#finish('success', head.status, null, headerIn(head.shared, 'x-breakwater-target'), 'coalesced', false);
  }

  /** The whole answer at once, which goes out under the first one's own headers where it is that one's. */
  takeOwn(status: number, headers: HeaderPairs, body: Uint8Array): void {
    this.#begins();
    this.#sendWhole(status, headers, body);
    this.#over();
  }

  /** A whole answer at once that somebody else brought about. */
  take(answer: WholeAnswer, mark: CacheUse): void {
    const { request } = this;
    const ageMs = mark === 'coalesced' ? null : this.#engine.clock.epochMs() - answer.madeAtMs;
    const target = headerIn(answer.headers, 'x-breakwater-target');
    if (answer.refusal !== null) {
      const headers = [...headersAgain(request, answer.headers, mark, ageMs), 'content-length', String(answer.body.byteLength)];
      this.#downstream.refuse({
        status: answer.status,
        headers,
        body: answer.body,
        retry: DO_NOT_RETRY,
        words: answer.refusal,
        isFinal: true,
        liesInRequest: true,
      });
      return this.#finish('failed', answer.status, 'upstream_error', null, mark, true);
    }
    if (!canServe(answer, request)) return this.fail(tooLargeToConvert(), null);
    this.#begins();
    const body = bodyFor(answer, request);
    const headers = headersAgain(request, headersInForm(answer.headers, answer.isStream, this.#isEventStream), mark, ageMs);
    if (answer.status !== 204) headers.push('content-length', String(body.byteLength));
    this.#sendWhole(answer.status, headers, body);
    this.#finish('success', answer.status, null, target, mark, true);
  }

  fail(error: BreakwaterError, ownHeaders: HeaderPairs | null, isEarly = true): void {
    const headers = this.isFirst && ownHeaders !== null ? ownHeaders : ['x-breakwater-attempts', '0', 'x-breakwater-queue-ms', '0'];
    const outcome = this.#isOpen ? 'interrupted' : error.refused ? 'refused' : 'failed';
    this.#downstream.fail(error, headers);
    this.#finish(outcome, error.status, error.code, null, null, isEarly);
  }

  refuse(refusal: UpstreamRefusal, shared: readonly string[]): void {
    const { body } = refusal;
    const own = this.isFirst ? refusal.headers : headersAgain(this.request, shared, 'coalesced', null);
    this.#downstream.refuse({ ...refusal, headers: this.isFirst ? own : [...own, 'content-length', String(body.byteLength)] });
    this.#finish('failed', refusal.status, 'upstream_error', null, this.isFirst ? null : 'coalesced', false);
  }

  /** Its caller left; or the answer ends without a word. */
  leave(isEarly = true): void {
    this.#downstream.leave();
    this.#finish('cancelled', 499, null, null, null, isEarly);
  }

  /** Something of ours broke: whatever can still be done is that it ends. */
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
    if (!this.#downstream.isStarted) return this.#downstream.answer(status, headers, body);
    this.#downstream.endWith(Buffer.concat([encodeComment(wayComment(headers)), body]));
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
    if (!this.isFirst) this.#tellEnd(end);
    else if (isEarly) this.ownEnd = end;
    this.#answer?.onGone(this);
    this.#resolve?.();
  }

  #over(): void {
    this.isOver = true;
    this.#seat.reader = null;
    this.#stopTimer();
    this.request.caller.onLeave = null;
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tellEnd(end: ReaderEnd): void {
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

/**
 * Between a caller and its reader. V8 allocates what every request makes a closure of in its old generation: that closure would keep
 * the reader with all that hangs on it until the next major collection.
 */
interface Seat {
  reader: AnswerReader | null;
}

function leaverOf(seat: Seat): () => void {
  return () => seat.reader?.leave();
}

/** What the headers can't tell any more where keeping alive has begun. */
function wayComment(headers: readonly string[]): string {
  let comment = 'breakwater';
  for (const name of ['target', 'attempts', 'fallback', 'dropped', 'quality', 'cache']) {
    const value = headerIn(headers, `x-breakwater-${name}`);
    if (value !== null) comment += ` ${name}=${value.replaceAll(', ', ',')}`;
  }
  return comment;
}

function tooLargeToConvert(): BreakwaterError {
  const message = 'the answer to the same request, which this one shared, is too large to be given in another form: ask again';
  return new BreakwaterError('all_targets_failed', message, { status: 502 });
}
