/**
 * Watches one answer from the send to its end: which bytes may go on, when the first content is there, when silence
 * has lasted too long, and whether what ended was complete. Nothing leaves it before it is known to be an answer.
 */
import type { Clock, Instant } from '../core/clock.ts';
import type { AnswerFacts, Failure, FailureKind, Phase } from '../core/facts.ts';
import { createFailure, failureFromResponse } from '../wire/failure.ts';
import type { StreamPush, StreamReader } from '../wire/openai-chat/stream-reader.ts';
import type { ReadAnswer } from '../wire/openai-chat/read-answer.ts';
import { AnswerWatch } from './answer-watch.ts';
import type { WatchLimit } from './answer-watch.ts';
import { createContentDecoder, isIdentity } from './content-decoder.ts';
import type { ContentDecoder } from './content-decoder.ts';
import type { ResponseHeaders, UpstreamListener } from './transport.ts';

/** Plain answers up to this are held whole and judged; larger ones are passed on as they come, in bytes. */
const PLAIN_HELD_MAX = 16 * 1024 * 1024;
/** As much of an error body is read, in bytes. */
const ERROR_BODY_MAX = 1024 * 1024;
/** A stream may say this much before its first content, in bytes. */
const PREAMBLE_MAX = 4 * 1024 * 1024;

/** How the answer is read: as an event stream, as one JSON text, or not at all. */
export type AnswerMode =
  | { readonly kind: 'stream'; readonly reader: StreamReader; readonly whole: PlainMode }
  | PlainMode
  | { readonly kind: 'bytes' };

interface PlainMode {
  readonly kind: 'plain';
  readonly read: (bytes: Uint8Array) => ReadAnswer;
  /** The same as events, for a caller who asked for a stream; null: as it is. */
  readonly toStream: ((bytes: Uint8Array) => Uint8Array) | null;
}

export interface GuardLimits {
  readonly connectMs: number;
  readonly headersMs: number;
  readonly firstContentMs: number;
  /** Between two pieces of content. */
  readonly idleMs: number;
  /** The end of the attempt before its first content: its own timeout, or the deadline of the request. */
  readonly attemptEnds: Instant;
  /** No limit, counted from the start of its phase, is shorter than this. */
  readonly shortestMs: number;
  /** A shorter limit of silence than those above, as things stand now. */
  shorter(now: Instant, sentAt: Instant, phase: 'headers' | 'first_content'): WatchLimit;
}

export interface GuardListener {
  onSent(): void;
  /** The first content of a stream, or a whole plain answer: what came so far waits in `take`. */
  onCandidate(): void;
  /** After `take`: more of the answer. */
  onPieces(pieces: readonly Uint8Array[]): void;
  /** The answer is complete. */
  onEnd(): void;
  onFailure(failure: Failure): void;
}

export class AnswerGuard implements UpstreamListener {
  readonly #clock: Clock;
  readonly #limits: GuardLimits;
  readonly #listener: GuardListener;
  readonly #watch: AnswerWatch;
  readonly #startedAt: Instant;
  #mode: AnswerMode;
  #phase: Phase = 'connect';
  #sentAt: Instant = 0;
  #contentAt: Instant = 0;
  #status = 0;
  #headers: ResponseHeaders = {};
  #decoder: ContentDecoder | null = null;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isError = false;
  #isCandidate = false;
  #taken = false;
  #ended = false;
  #endTold = false;
  #paused = false;

  /** What is known of the answer; grows until its end. */
  facts: AnswerFacts = { model: null, usage: null, finishReason: null, hasContent: false, toolCallOpen: false };

  constructor(clock: Clock, mode: AnswerMode, limits: GuardLimits, listener: GuardListener) {
    this.#clock = clock;
    this.#mode = mode;
    this.#limits = limits;
    this.#listener = listener;
    this.#startedAt = clock.now();
    if (mode.kind === 'stream') this.facts = mode.reader.facts;
    this.#watch = new AnswerWatch(
      clock,
      limits.shortestMs,
      (now) => this.#limitAt(now),
      (kind) => this.#passed(kind),
    );
  }

  get status(): number {
    return this.#status;
  }

  get headers(): ResponseHeaders {
    return this.#headers;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get sentAt(): Instant {
    return this.#sentAt;
  }

  /** What was held back until now; from here `onPieces` and `onEnd` tell the rest. */
  take(): readonly Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    this.#taken = true;
    this.#phase = 'committed';
    return held;
  }

  /** Nothing held or kept: the attempt is over for its owner. */
  stop(): void {
    this.#ended = true;
    this.#endTold = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    this.#held = [];
  }

  /** The caller is behind: silence is ours now, not the provider's. */
  setPaused(paused: boolean): void {
    this.#paused = paused;
    this.#decoder?.setPaused(paused);
    if (paused) return;
    this.#contentAt = this.#clock.now();
  }

  /** True once the whole answer has come in, though its owner may not have taken it yet. */
  get isComplete(): boolean {
    return this.#ended;
  }

  onSent(): void {
    this.#phase = 'headers';
    this.#sentAt = this.#clock.now();
    this.#listener.onSent();
  }

  onHeaders(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    this.#headers = headers;
    this.#phase = 'first_content';
    this.#isError = status < 200 || status > 299;
    const encoding = single(headers['content-encoding']);
    if (!isIdentity(encoding) && (this.#isError || this.#mode.kind !== 'bytes')) {
      this.#decoder = createContentDecoder(encoding!, {
        onData: (chunk) => this.#take(chunk),
        onEnd: () => this.#finish(),
        onError: () => this.#fail('malformed', `the body is not valid ${encoding}`),
      });
      if (this.#decoder === null) return this.#fail('malformed', 'the answer has an unknown content encoding');
    }
    if (!this.#isError) {
      const fault = this.#contentTypeFault(single(headers['content-type']) ?? '');
      if (fault !== null) return this.#fail('malformed', fault);
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (this.#decoder !== null) this.#decoder.push(chunk);
    else this.#take(chunk);
  }

  onEnd(): void {
    if (this.#ended) return;
    if (this.#decoder !== null) this.#decoder.end();
    else this.#finish();
  }

  onError(error: Error): void {
    if (this.#ended) return;
    const code = (error as { code?: unknown }).code;
    const named = typeof code === 'string' ? code : error.name;
    if (this.#phase === 'connect') this.#fail('connect', `no connection (${named})`);
    else if (named.startsWith('HPE_')) this.#fail('malformed', `the answer is not HTTP (${named})`);
    else if (this.#phase === 'headers') this.#fail('reset', `the connection broke before the answer began (${named})`);
    else this.#fail('cut', `the connection broke within the answer (${named})`);
  }

  #contentTypeFault(contentType: string): string | null {
    const type = contentType.split(';')[0]!.trim().toLowerCase();
    if (this.#mode.kind === 'bytes' || type === '' || type === 'text/plain') return null;
    const isStream = type === 'text/event-stream';
    const isJson = type.endsWith('json');
    // Some servers answer a request for a stream with one JSON text, errors above all.
    if (this.#mode.kind === 'stream' && isJson) this.#mode = this.#mode.whole;
    if (this.#mode.kind === 'stream' ? isStream : isJson) return null;
    return `the answer has the content type ${type.slice(0, 100)}`;
  }

  #take(chunk: Uint8Array): void {
    if (this.#ended) return;
    if (this.#isError) this.#collectError(chunk);
    else if (this.#mode.kind === 'stream') this.#takePush(this.#mode.reader.push(chunk));
    else if (this.#mode.kind === 'plain') this.#collectPlain(chunk);
    else this.#passBytes([chunk]);
  }

  #collectError(chunk: Uint8Array): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes > ERROR_BODY_MAX) this.#finish();
  }

  #collectPlain(chunk: Uint8Array): void {
    if (this.#phase === 'first_content' && hasContentByte(chunk)) {
      this.#phase = 'answer';
      this.#contentAt = this.#clock.now();
    } else if (this.#phase === 'answer') this.#contentAt = this.#clock.now();
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes <= PLAIN_HELD_MAX) return;
    if (this.#mode.kind === 'plain' && this.#mode.toStream !== null) return this.#fail('malformed', 'one text of this size is no stream');
    this.#mode = { kind: 'bytes' };
    this.#becomeCandidate();
  }

  #passBytes(pieces: readonly Uint8Array[]): void {
    this.#contentAt = this.#clock.now();
    this.facts.hasContent = true;
    this.#deliver(pieces);
    this.#becomeCandidate();
  }

  #takePush(push: StreamPush): void {
    if (push.hasContent) this.#contentAt = this.#clock.now();
    if (push.pieces.length > 0) this.#deliver(push.pieces);
    if (push.failure !== null) {
      // What came before the failure is content all the same, but nobody has seen it yet if it is still held.
      return this.#failWith({ ...push.failure, phase: this.#phase, status: push.failure.status ?? null });
    }
    if (push.hasContent) this.#becomeCandidate();
    if (push.done) this.#complete();
    else if (!this.#isCandidate && this.#heldBytes > PREAMBLE_MAX) this.#fail('malformed', 'the stream has a preamble without end');
  }

  #deliver(pieces: readonly Uint8Array[]): void {
    if (this.#taken) return this.#listener.onPieces(pieces);
    for (const piece of pieces) {
      this.#held.push(piece);
      this.#heldBytes += piece.byteLength;
    }
  }

  #becomeCandidate(): void {
    if (this.#isCandidate) return;
    this.#isCandidate = true;
    if (this.#phase !== 'committed') this.#phase = 'answer';
    this.#listener.onCandidate();
  }

  /** The upstream closed its side in good order. */
  #finish(): void {
    if (this.#ended) return;
    if (this.#isError) return this.#failWith(this.#errorFailure());
    if (this.#mode.kind === 'stream') {
      const push = this.#mode.reader.end();
      this.#takePush(push);
      return;
    }
    if (this.#mode.kind === 'bytes') {
      this.facts.hasContent = true;
      return this.#complete();
    }
    const whole = Buffer.concat(this.#held);
    const { read, toStream } = this.#mode;
    const answer = read(whole);
    if (!answer.ok) {
      const isKept = answer.failure.kind === 'empty' && toStream !== null && whole.length > 0;
      return this.#failWith({ ...answer.failure, phase: 'answer', body: isKept ? toStream(whole) : whole });
    }
    this.facts = answer.facts;
    this.#held = [toStream === null ? whole : toStream(whole)];
    this.#complete();
  }

  #errorFailure(): Failure {
    return failureFromResponse({
      status: this.#status,
      headers: { get: (name) => single(this.#headers[name]) ?? null },
      body: Buffer.concat(this.#held),
      epochMs: this.#clock.epochMs(),
    });
  }

  #complete(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch.stop();
    if (this.#mode.kind === 'stream' && !this.#isCandidate && isHollow(this.facts)) {
      this.#endTold = true;
      return this.#listener.onFailure(
        createFailure('empty', 'answer', 'the stream ended without content', { status: this.#status, body: Buffer.concat(this.#held) }),
      );
    }
    this.#becomeCandidate();
    if (this.#taken) this.#tellEnd();
  }

  /** For the owner, after `take`: tells the end if it has come already. */
  tellEndIfComplete(): void {
    if (this.#ended) this.#tellEnd();
  }

  #tellEnd(): void {
    if (this.#endTold) return;
    this.#endTold = true;
    this.#listener.onEnd();
  }

  #fail(kind: FailureKind, message: string): void {
    // An error status says enough, even if its body broke off or stalled.
    if (this.#isError && kind !== 'malformed') return this.#failWith(this.#errorFailure());
    this.#failWith(createFailure(kind, this.#phase, message, { status: this.#status === 0 ? null : this.#status }));
  }

  #failWith(failure: Failure): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endTold = true;
    this.#watch.stop();
    this.#decoder?.destroy();
    this.#listener.onFailure(failure);
  }

  #limitAt(now: Instant): WatchLimit {
    switch (this.#phase) {
      case 'connect':
        return this.#cut(this.#startedAt + this.#limits.connectMs, 'timeout');
      case 'headers':
        return this.#silence(now, this.#limits.headersMs, 'headers');
      case 'first_content':
        return this.#silence(now, this.#limits.firstContentMs, 'first_content');
      case 'answer':
        return this.#cut(this.#contentAt + this.#limits.idleMs, 'timeout');
      case 'committed':
        return { at: this.#paused ? Infinity : this.#contentAt + this.#limits.idleMs, kind: 'timeout' };
    }
  }

  #silence(now: Instant, limitMs: number, phase: 'headers' | 'first_content'): WatchLimit {
    const limit = this.#cut(this.#sentAt + limitMs, 'timeout');
    const shorter = this.#limits.shorter(now, this.#sentAt, phase);
    return shorter.at < limit.at ? shorter : limit;
  }

  #cut(at: Instant, kind: WatchLimit['kind']): WatchLimit {
    return { at: Math.min(at, this.#limits.attemptEnds), kind };
  }

  #passed(kind: WatchLimit['kind']): void {
    const silentMs = Math.round(
      this.#clock.now() - (this.#phase === 'answer' || this.#phase === 'committed' ? this.#contentAt : this.#startedAt),
    );
    const what = {
      connect: 'no connection',
      headers: 'no response headers',
      first_content: 'no content',
      answer: 'no further content',
      committed: 'no further content',
    };
    this.#fail(kind, `${what[this.#phase]} within ${silentMs} ms`);
  }
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** Some providers send empty lines until they begin: those are liveness, not content. */
function hasContentByte(chunk: Uint8Array): boolean {
  for (const byte of chunk) if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return true;
  return false;
}

/** Complete but without anything in it; a filtered answer is empty for a reason that the caller should see. */
function isHollow(facts: AnswerFacts): boolean {
  return !facts.hasContent && facts.finishReason !== 'content_filter';
}
