/**
 * The caller's side of one request: what has been sent, and in which form a failure can still be reported. Before the first byte an error
 * is a response with its own status; after it, an event in the stream.
 */
import type { HeaderPairs } from '../../core/headers.ts';
import { assert } from '../../core/assert.ts';
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import type { BreakwaterError } from '../../core/errors.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { Dialect, ErrorDetails } from '../../wire/dialect.ts';
import { encodeComment } from '../../wire/sse/comment.ts';
import { retrySignals, type ClientProgram, type RetryAdvice } from '../../wire/clients.ts';
import { errorResponse, errorWords, requestIdHeaders, retryAdvice } from './error-response.ts';
import type { ResponseSink } from '../request/response-sink.ts';

const STREAM_HEADERS = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', 'x-accel-buffering', 'no'];

/** A provider's own error, for responses of every form. */
export interface UpstreamRefusal {
  readonly status: number;
  /** Without the headers of `retry`. */
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
  readonly retry: RetryAdvice;
  /** The same error for use inside a stream. */
  readonly words: ErrorDetails;
  /** No retry or other target would help: the verdict is `reject`. */
  readonly isFinal: boolean;
  /** The request is at fault, not the provider. */
  readonly requestAtFault: boolean;
}

/** The destination of a response: its caller, or a log with several readers. */
export interface Outlet {
  readonly isOver: boolean;
  /** The status line has been sent: 200, or that of the committed response. */
  readonly isStarted: boolean;
  /** Sends a whole response; `isUncacheable`: it must not be cached. */
  respond(status: number, headers: HeaderPairs, body: Uint8Array, usage: TokenUsage | null, isUncacheable: boolean): void;
  /** Begins a response; `metadata` is sent as a comment if the headers have been sent already. */
  commit(status: number, headers: HeaderPairs, isEventStream: boolean, metadata: string): void;
  /** False: the reader is behind; wait for `onDrain`. */
  write(chunks: readonly Uint8Array[]): boolean;
  onDrain(listener: () => void): void;
  /** True if a reader took anything since the last call, or if there was nothing to take. */
  readerMoved(): boolean;
  /** Ends a complete response; `isUncacheable`: as in `respond`, or it was joined from two. */
  end(usage?: TokenUsage | null, isUncacheable?: boolean): void;
  /** Ends a stream that has begun with these last bytes. */
  endWith(bytes: Uint8Array): void;
  /** Ends with an error of Breakwater's own, in the form still possible; `headers` are added if they can still be sent. */
  fail(error: BreakwaterError, headers?: HeaderPairs): void;
  /** Ends with a provider's own error. */
  refuse(refusal: UpstreamRefusal): void;
  /** Ends without sending anything more. */
  leave(): void;
}

export interface DownstreamOptions {
  readonly dialect: Dialect;
  readonly requestId: string;
  /** The calling program; null: unknown. */
  readonly program: ClientProgram | null;
  /** Milliseconds without a byte after which a comment keeps a stream alive; null: not an event stream. */
  readonly keepAliveMs: number | null;
  /** Gets one note when keep-alive begins. */
  readonly owner: { note(note: string): void };
}

export class Downstream implements Outlet {
  readonly #sink: ResponseSink;
  readonly #clock: Clock;
  readonly #options: DownstreamOptions;
  #state: 'open' | 'kept_alive' | 'committed' | 'over' = 'open';
  #timer: Timer | null = null;
  #lastByteAt: Instant;
  #isEventStream = false;
  /** The caller has unread bytes: another comment would not help. */
  #behind = false;

  constructor(sink: ResponseSink, clock: Clock, options: DownstreamOptions) {
    this.#sink = sink;
    this.#clock = clock;
    this.#options = options;
    this.#lastByteAt = options.keepAliveMs === null ? 0 : clock.now();
    this.#armKeepAlive(this.#lastByteAt);
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  get isStarted(): boolean {
    return this.#state !== 'open';
  }

  respond(status: number, headers: HeaderPairs, body: Uint8Array): void {
    assert(this.#state === 'open', 'one response per request');
    this.#close();
    this.#sink.head(status, headers);
    this.#sink.end(body);
  }

  commit(status: number, headers: HeaderPairs, isEventStream: boolean, metadata: string): void {
    this.#isEventStream = isEventStream;
    if (this.#state === 'open') this.#sink.head(status, headers);
    else {
      assert(this.#state === 'kept_alive', 'a stream is committed once');
      this.#sink.write(encodeComment(metadata));
    }
    this.#state = 'committed';
    if (!isEventStream) this.#stopKeepAlive();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    let roomy = true;
    for (const chunk of chunks) roomy = this.#sink.write(chunk);
    this.#behind = !roomy;
    this.#lastByteAt = this.#clock.now();
    return roomy;
  }

  onDrain(listener: () => void): void {
    this.#sink.onDrain(() => {
      this.#behind = false;
      listener();
    });
  }

  readerMoved(): boolean {
    return this.#sink.readerMoved();
  }

  end(): void {
    this.#close();
    this.#sink.end();
  }

  fail(error: BreakwaterError, headers: HeaderPairs = []): void {
    if (this.#state === 'over') return;
    const { dialect, requestId, program } = this.#options;
    if (this.#state === 'open') {
      const response = errorResponse(dialect.error, error, requestId, program);
      this.#noteStatus(error.status, response.status);
      return this.respond(response.status, [...response.headers, ...headers], Buffer.from(response.body));
    }
    const canSendEvent = this.#state === 'kept_alive' || this.#isEventStream;
    this.#close();
    const status = retrySignals(program, error.status, retryAdvice(error)).status;
    if (canSendEvent) this.#sink.end(dialect.error.event({ ...errorWords(dialect.error, error), status }, requestId));
    else this.#sink.abort();
  }

  refuse({ status, headers, body, retry, words }: UpstreamRefusal): void {
    const { dialect, requestId, program } = this.#options;
    const signals = retrySignals(program, status, retry);
    if (this.isStarted) return this.endWith(dialect.error.event({ ...words, status: signals.status }, requestId));
    this.#noteStatus(status, signals.status);
    const sent = signals.status === status ? body : (dialect.error.restated?.(body, signals.status) ?? body);
    this.respond(signals.status, [...headers, ...signals.headers], sent);
  }

  /** Logs and timelines show the status of the error, even if its caller is sent another one. */
  #noteStatus(meant: number, sent: number): void {
    if (meant !== sent) this.#options.owner.note(`status ${sent} sent instead of ${meant}, which ${this.#options.program} would retry`);
  }

  endWith(bytes: Uint8Array): void {
    this.#close();
    this.#sink.end(bytes);
  }

  leave(): void {
    if (this.#state === 'over') return;
    this.#close();
    this.#sink.abort();
  }

  #close(): void {
    this.#state = 'over';
    this.#stopKeepAlive();
  }

  #stopKeepAlive(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #armKeepAlive(now: Instant): void {
    const { keepAliveMs } = this.#options;
    if (keepAliveMs === null) return;
    const dueMs = this.#lastByteAt + keepAliveMs - now;
    this.#timer = this.#clock.schedule(dueMs, () => this.#keepAlive(keepAliveMs));
  }

  #keepAlive(keepAliveMs: number): void {
    if (this.#state === 'over') return;
    const now = this.#clock.now();
    // The same sum as in `#armKeepAlive`: a difference could round differently, and the timer would fire again at this instant.
    if (now >= this.#lastByteAt + keepAliveMs) {
      if (this.#state === 'open') {
        this.#state = 'kept_alive';
        this.#sink.head(200, [...STREAM_HEADERS, ...requestIdHeaders(this.#options.dialect.error, this.#options.requestId)]);
        this.#options.owner.note('kept alive by a comment: the status is already sent');
      }
      // Only whole events have been sent so far, so a comment may follow.
      if (!this.#behind) this.#sink.write(this.#options.dialect.stream.keepAlive);
      this.#lastByteAt = now;
    }
    if (!this.isOver) this.#armKeepAlive(now);
  }
}
