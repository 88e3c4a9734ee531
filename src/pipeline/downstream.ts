/**
 * The caller's side of one request: what has gone out, what may still go out, and in which form a failure has to be
 * told. Before the first byte an error is an answer with its own status; after it, an event in the stream.
 */
import { assert } from '../core/assert.ts';
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { BreakwaterError } from '../core/errors.ts';
import type { TokenUsage } from '../core/facts.ts';
import type { Dialect, ErrorWords } from '../wire/dialect.ts';
import { encodeComment } from '../wire/sse/comment.ts';
import { retrySignals, type ClientProgram, type RetryAdvice } from '../wire/clients.ts';
import { errorAnswer, errorWords, requestIdHeaders, retryAdvice } from './error-answer.ts';
import type { AnswerSink, HeaderPairs } from './sink.ts';

const STREAM_HEADERS = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', 'x-accel-buffering', 'no'];

/** A provider's own error, for answers of every form. */
export interface UpstreamRefusal {
  readonly status: number;
  /** Without those of `retry`. */
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
  readonly retry: RetryAdvice;
  /** The same inside a stream. */
  readonly words: ErrorWords;
  /** Nothing would change it: the verdict is `reject`. */
  readonly isFinal: boolean;
  /** Not the provider is at fault. */
  readonly liesInRequest: boolean;
}

/** Where a run puts its answer: to its caller, or into a log that several read. */
export interface Outlet {
  readonly isOver: boolean;
  /** The status line has gone out: 200, or whatever was committed. */
  readonly isStarted: boolean;
  /** A whole answer at once; `isPoor`: good enough for nobody else, or nobody knows. */
  answer(status: number, headers: HeaderPairs, body: Uint8Array, usage: TokenUsage | null, isPoor: boolean): void;
  /** The answer begins; `known` is told in a comment where the headers are gone already. */
  commit(status: number, headers: HeaderPairs, isEventStream: boolean, known: string): void;
  /** False: whoever reads is behind; wait for `onDrain`. */
  write(pieces: readonly Uint8Array[]): boolean;
  onDrain(listener: () => void): void;
  /** True if whoever reads took anything since this was last asked, or could not. */
  readerMoved(): boolean;
  /** The answer that was begun is whole; `isPoor`: as in `answer`, or it was put together from two. */
  end(usage?: TokenUsage | null, isPoor?: boolean): void;
  /** Ends a stream that has begun with these last bytes. */
  endWith(bytes: Uint8Array): void;
  /** The request ends with an error of ours, in the form that is still possible; `headers` beside its own, where they can go. */
  fail(error: BreakwaterError, headers?: HeaderPairs): void;
  /** The request ends with a provider's own words. */
  refuse(refusal: UpstreamRefusal): void;
  /** Nothing more goes out. */
  leave(): void;
}

export interface DownstreamOptions {
  readonly dialect: Dialect;
  readonly requestId: string;
  /** What the caller is; null: unknown. */
  readonly program: ClientProgram | null;
  /** Milliseconds without a byte after which a stream is kept alive by a comment; null: not a stream of events. */
  readonly keepAliveMs: number | null;
  /** Is told once when keeping alive began. */
  readonly owner: { note(note: string): void };
}

export class Downstream implements Outlet {
  readonly #sink: AnswerSink;
  readonly #clock: Clock;
  readonly #options: DownstreamOptions;
  #state: 'open' | 'kept_alive' | 'committed' | 'over' = 'open';
  #timer: Timer | null = null;
  #lastByteAt: Instant;
  #isEventStream = false;
  /** The caller has bytes of ours to take: one more comment would keep nothing alive. */
  #behind = false;

  constructor(sink: AnswerSink, clock: Clock, options: DownstreamOptions) {
    this.#sink = sink;
    this.#clock = clock;
    this.#options = options;
    this.#lastByteAt = clock.now();
    this.#armKeepAlive();
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  get isStarted(): boolean {
    return this.#state !== 'open';
  }

  answer(status: number, headers: HeaderPairs, body: Uint8Array): void {
    assert(this.#state === 'open', 'one answer to a request');
    this.#close();
    this.#sink.head(status, headers);
    this.#sink.end(body);
  }

  commit(status: number, headers: HeaderPairs, isEventStream: boolean, known: string): void {
    this.#isEventStream = isEventStream;
    if (this.#state === 'open') this.#sink.head(status, headers);
    else {
      assert(this.#state === 'kept_alive', 'a stream is committed once');
      this.#sink.write(encodeComment(known));
    }
    this.#state = 'committed';
    if (!isEventStream) this.#stopKeepAlive();
  }

  write(pieces: readonly Uint8Array[]): boolean {
    let roomy = true;
    for (const piece of pieces) roomy = this.#sink.write(piece);
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
      const answer = errorAnswer(dialect.error, error, requestId, program);
      this.#noteStatus(error.status, answer.status);
      return this.answer(answer.status, [...answer.headers, ...headers], Buffer.from(answer.body));
    }
    const canTell = this.#state === 'kept_alive' || this.#isEventStream;
    this.#close();
    const status = retrySignals(program, error.status, retryAdvice(error)).status;
    if (canTell) this.#sink.end(dialect.error.event({ ...errorWords(dialect.error, error), status }, requestId));
    else this.#sink.abort();
  }

  refuse({ status, headers, body, retry, words }: UpstreamRefusal): void {
    const { dialect, requestId, program } = this.#options;
    const signals = retrySignals(program, status, retry);
    if (this.isStarted) return this.endWith(dialect.error.event({ ...words, status: signals.status }, requestId));
    this.#noteStatus(status, signals.status);
    const sent = signals.status === status ? body : (dialect.error.restated?.(body, signals.status) ?? body);
    this.answer(signals.status, [...headers, ...signals.headers], sent);
  }

  /** The log and the timeline have the status of the error; its caller may get another one. */
  #noteStatus(meant: number, sent: number): void {
    if (meant !== sent)
      this.#options.owner.note(`sent with status ${sent} in place of ${meant}, which ${this.#options.program} would repeat`);
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

  #armKeepAlive(): void {
    const { keepAliveMs } = this.#options;
    if (keepAliveMs === null) return;
    const dueMs = this.#lastByteAt + keepAliveMs - this.#clock.now();
    this.#timer = this.#clock.schedule(dueMs, () => this.#keepAlive(keepAliveMs));
  }

  #keepAlive(keepAliveMs: number): void {
    if (this.#state === 'over') return;
    // The same sum as in `#armKeepAlive`: a difference rounds otherwise, and the timer would come again at this very instant.
    if (this.#clock.now() >= this.#lastByteAt + keepAliveMs) {
      if (this.#state === 'open') {
        this.#state = 'kept_alive';
        this.#sink.head(200, [...STREAM_HEADERS, ...requestIdHeaders(this.#options.dialect.error, this.#options.requestId)]);
        this.#options.owner.note('kept alive by a comment: the status has gone out');
      }
      // What has gone out so far is always whole events, so a comment can stand here.
      if (!this.#behind) this.#sink.write(this.#options.dialect.stream.keepAlive);
      this.#lastByteAt = this.#clock.now();
    }
    if (!this.isOver) this.#armKeepAlive();
  }
}
