/**
 * One request and its response on a plain socket. A non-streaming response is one write at the end of its turn of the event loop; everything
 * that is written to a stream in one turn is one write and one chunk, including the head if it was not sent yet.
 */
import type { HeaderPairs } from '../core/headers.ts';
import type { Socket } from 'node:net';
import { atTurnEnd, type TurnWriter } from '../transport/turn-end.ts';
import { BodyReader } from './body-reader.ts';
import { CallerLeft, type BodyGate, type CallerPlace, type Exchange, type ReceivedBody } from './exchange.ts';
import { isEventStream } from './head-pairs.ts';
import { IncomingBody, type BodySource } from './incoming-body.ts';
import { keepAliveTimeoutMs } from './listener-parts.ts';
import { repeatedHeader } from './repeated-headers.ts';
import type { RequestHeaders } from './request-headers.ts';
import { headText, joined, type BodyEnd } from './response-head.ts';
import { UNCOUNTED_MAX, UnreadAnswer, UNREAD_MAX_MS, type AnswerOutlet, type ByteCharge } from './unread-answer.ts';

/** Writes up to this size are copied into one buffer, in bytes. */
const JOINED_BYTES_MAX = 64 * 1024;
/** A whole body up to this size is written in one string with its head, in bytes. */
const TEXT_BYTES_MAX = 4096;
const keepAliveSeconds = keepAliveTimeoutMs / 1000;
const noBytes = new Uint8Array(0);
/** Writes to a stream are always whole events, so a comment is valid between any two. */
const probeComment = Buffer.from(':\n\n');

/** The part of a connection that an exchange depends on. */
export interface ExchangeConnection extends BodySource {
  readonly socket: Socket;
  readonly place: CallerPlace;
  readonly address: string | null;
  readonly isWindingDown: boolean;
  /** Bytes sent to the caller. */
  readonly takenBytes: number;
  isTurnOf(exchange: SocketExchange): boolean;
  writeInterim(status: string): void;
  /** The response is complete or aborted: nothing more is written to it. */
  settle(exchange: SocketExchange): void;
  /** The whole response is written; limits the time to flush the rest. */
  answered(exchange: SocketExchange): void;
  /** Limits the time to flush the rest. */
  limitFlush(ms: number): void;
}

/** The head of a request, as received. */
export interface SocketRequest {
  readonly httpVersion: string;
  readonly method: string;
  readonly url: string;
  readonly headers: RequestHeaders;
  readonly rawHeaders: readonly string[];
  /** Whether the head allows further requests on the connection. */
  readonly keepsAlive: boolean;
  /** The caller waits for `100 Continue` before sending the body. */
  readonly awaitsContinue: boolean;
}

export class SocketExchange implements Exchange, AnswerOutlet, TurnWriter {
  readonly #connection: ExchangeConnection;
  readonly #request: SocketRequest;
  readonly body: IncomingBody;
  readonly isHttp10: boolean;
  #awaitsContinue: boolean;
  #status = 0;
  #added: HeaderPairs | null = null;
  #headers: HeaderPairs | null = null;
  #started = false;
  #over = false;
  #left = false;
  #isChunked = false;
  /** The connection is closed after this response. */
  closesConnection = false;
  /** Written in this turn of the event loop. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #pendingHead = '';
  #flushScheduled = false;
  /** Bytes of the connection sent at the last call of `readerMoved`. */
  #takenSeen = -1;
  onLeave: (() => void) | null = null;
  #onDrain: (() => void) | null = null;
  #charge: ByteCharge | null = null;
  #unread: UnreadAnswer | null = null;
  /** Why the body is incomplete; null: no error. */
  #bodyError: Error | null = null;

  constructor(connection: ExchangeConnection, request: SocketRequest) {
    this.#connection = connection;
    this.#request = request;
    this.body = new IncomingBody(connection);
    this.isHttp10 = request.httpVersion === '1.0';
    this.#awaitsContinue = request.awaitsContinue;
  }

  get method(): string {
    return this.#request.method;
  }

  get target(): string {
    return this.#request.url;
  }

  get place(): CallerPlace {
    return this.#connection.place;
  }

  get address(): string | null {
    return this.#connection.address;
  }

  header(name: string): string | undefined {
    return this.#request.headers[name];
  }

  headersLike(prefix: string): readonly string[] {
    return Object.keys(this.#request.headers).filter((name) => name.startsWith(prefix));
  }

  hasHeaderLike(prefix: string): boolean {
    for (const name in this.#request.headers) if (name.startsWith(prefix)) return true;
    return false;
  }

  repeatedHeader(): string | null {
    return repeatedHeader(this.#request);
  }

  get hasLeft(): boolean {
    return this.#left;
  }

  get hasEnded(): boolean {
    return this.#over;
  }

  async *bodyPieces(): AsyncGenerator<Uint8Array> {
    const { headers } = this.#request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    if (this.#left) throw new CallerLeft();
    if (this.#bodyError !== null) throw this.#bodyError;
    if (this.#awaitsContinue) this.#connection.writeInterim('100 Continue');
    this.#awaitsContinue = false;
    yield* this.body.pieces();
  }

  readBody(gate: BodyGate): Promise<ReceivedBody> {
    const { headers } = this.#request;
    const length = headers['content-length'];
    if (length === undefined && headers['transfer-encoding'] === undefined) return Promise.resolve(noBytes);
    return new Promise((resolve, reject) => {
      if (this.#left) throw new CallerLeft();
      if (this.#bodyError !== null) throw this.#bodyError;
      if (length !== undefined) gate.announce(Number(length));
      if (this.#awaitsContinue) this.#connection.writeInterim('100 Continue');
      this.#awaitsContinue = false;
      this.body.readBy(new BodyReader(gate, resolve, reject));
    });
  }

  stopBody(error: Error): void {
    this.#bodyError ??= error;
    this.body.stop(error);
  }

  head(status: number, headers: HeaderPairs): void {
    this.#status = status;
    this.#headers = this.#added === null ? headers : [...headers, ...this.#added];
  }

  addHeaders(headers: HeaderPairs): void {
    this.#added = headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (!this.#started) this.#start(-1);
    this.#add(bytes);
    this.#flushLater();
    const isRoomy = this.#unsentBytes < this.#connection.socket.writableHighWaterMark;
    if (!isRoomy) this.#chargeUnread();
    else this.#unread?.set(0);
    return isRoomy;
  }

  /** Bytes that were not passed to the operating system yet. */
  get #unsentBytes(): number {
    return this.#connection.socket.writableLength + this.#pendingBytes;
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#request.method === 'HEAD') return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  #flushLater(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    atTurnEnd(this);
  }

  /** Nothing of an ended response is pending. */
  get isWritten(): boolean {
    return this.#over && !this.#flushScheduled;
  }

  onTurnEnd(): void {
    if (!this.#flushScheduled || this.#left) return;
    if (!this.#over) return this.flush();
    this.#flushScheduled = false;
    this.#writeWhole();
    this.#endAnswer();
  }

  /** Sends the writes of this turn. */
  flush(isLast = false): void {
    this.#flushScheduled = false;
    const { socket } = this.#connection;
    const pieces = this.#pending;
    const bytes = this.#pendingBytes;
    const isChunk = this.#isChunked && bytes > 0;
    const before = this.#pendingHead + (isChunk ? `${bytes.toString(16)}\r\n` : '');
    const after = (isChunk ? '\r\n' : '') + (isLast && this.#isChunked ? '0\r\n\r\n' : '');
    this.#pendingHead = '';
    if (bytes > 0) this.#pending = [];
    this.#pendingBytes = 0;
    if (bytes > JOINED_BYTES_MAX) {
      socket.cork();
      if (before !== '') socket.write(before, 'latin1');
      for (const piece of pieces) socket.write(piece);
      if (after !== '') socket.write(after, 'latin1');
      socket.uncork();
    } else if (bytes > 0) socket.write(joined(before, pieces, bytes, after));
    else if (before !== '' || after !== '') socket.write(before + after, 'latin1');
    // If everything was passed to the operating system at once, there is no drain event.
    if (this.#onDrain !== null && !socket.writableNeedDrain) this.drained();
  }

  chargeTo(charge: ByteCharge): void {
    this.#charge = charge;
  }

  #chargeUnread(): void {
    const bytes = this.#unsentBytes;
    if (this.#charge === null || bytes <= UNCOUNTED_MAX) return this.#unread?.set(0);
    this.#unread ??= new UnreadAnswer(this.#charge, this);
    this.#unread.set(bytes);
  }

  /** The response was read by the caller, or aborted. */
  answerOver(): void {
    this.#unread?.set(0);
  }

  breakOff(): void {
    this.#connection.socket.destroy();
  }

  /** Writes something without content; false: not possible now. */
  probe(): boolean {
    if (!this.#connection.isTurnOf(this) || this.isHttp10) return false;
    // Every client must be able to parse this interim response, and may discard it (RFC 9110 15.2).
    if (!this.#started) this.#connection.writeInterim('102 Processing');
    else if (this.#headers?.some(isEventStream) === true) {
      this.#add(probeComment);
      this.flush();
    } else return false;
    return true;
  }

  readerMoved(): boolean {
    // A response that waits for another one on its connection cannot progress.
    if (!this.#connection.isTurnOf(this)) return true;
    const taken = this.takenBytes;
    const moved = taken !== this.#takenSeen;
    this.#takenSeen = taken;
    return moved;
  }

  get takenBytes(): number {
    return this.#connection.takenBytes;
  }

  onDrain(listener: () => void): void {
    if (this.#over) queueMicrotask(listener);
    else this.#onDrain = listener;
  }

  end(bytes: Uint8Array = noBytes): void {
    if (this.#over) return;
    if (!this.#started) {
      this.#start(bytes.length);
      this.#add(bytes);
      this.#flushLater();
      return this.#finish();
    }
    this.#add(bytes);
    this.flush(true);
    this.#finish();
    this.#endAnswer();
  }

  abort(): void {
    if (this.#over) return;
    const { socket } = this.#connection;
    this.#finish();
    // Without chunked encoding only a reset distinguishes an aborted response from a complete one (RFC 9112 6.3).
    if (this.#started && this.isHttp10) socket.resetAndDestroy();
    else if (!this.#started || socket.writableNeedDrain) {
      socket.destroy();
      this.answerOver();
    } else {
      this.flush();
      this.#connection.limitFlush(UNREAD_MAX_MS);
      socket.destroySoon();
    }
  }

  callerLeft(): void {
    this.#left = true;
    this.#over = true;
    this.body.fail(new CallerLeft());
    this.answerOver();
    const { onLeave } = this;
    this.onLeave = null;
    onLeave?.();
    this.#wakeWriter();
  }

  #endAnswer(): void {
    if (this.#unsentBytes > 0) this.#chargeUnread();
    this.#connection.answered(this);
  }

  #writeWhole(): void {
    const [bytes] = this.#pending;
    if (bytes === undefined || bytes.length > TEXT_BYTES_MAX) return this.flush(true);
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    this.#connection.socket.write(this.#pendingHead + text, 'latin1');
    this.#pendingHead = '';
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** `bodyBytes`: the length of the whole body; -1: unknown. */
  #start(bodyBytes: number): void {
    this.#started = true;
    const headers = this.#headers ?? [];
    let hasLength = false;
    let closes = this.#connection.isWindingDown || this.#bodyError !== null || this.#awaitsContinue;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      if (name === 'content-length') hasLength = true;
      else if (name === 'connection') {
        closes ||= headers[i + 1] === 'close';
        headers.splice(i, 2);
        i -= 2;
      }
    }
    const isBodiless = this.#status === 204 || this.#status === 304;
    if (bodyBytes >= 0 && !hasLength && !isBodiless) {
      headers.push('content-length', String(bodyBytes));
      hasLength = true;
    }
    const isHead = this.#request.method === 'HEAD';
    const body: BodyEnd = hasLength || isBodiless || isHead ? 'length' : this.isHttp10 ? 'close' : 'chunked';
    this.closesConnection = closes || body === 'close' || !this.#request.keepsAlive;
    this.#isChunked = body === 'chunked';
    this.#pendingHead = headText(this.#status, headers, { body, keepsAlive: !this.closesConnection, keepAliveSeconds });
  }

  #finish(): void {
    this.#over = true;
    this.#wakeWriter();
    this.body.discard();
    this.#connection.settle(this);
  }

  drained(): void {
    this.#unread?.set(0);
    this.#wakeWriter();
  }

  #wakeWriter(): void {
    const listener = this.#onDrain;
    this.#onDrain = null;
    listener?.();
  }
}
