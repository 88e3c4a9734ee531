/**
 * One connection from a caller: reads requests and handles them one at a time.
 *
 * ## Turns
 * Pipelined requests are handled one at a time: the next starts when the previous response was passed to the operating system, after a turn
 * of the event loop. So pipelining gives a connection no larger share of the process.
 *
 * ## End
 * A response with `connection: close`, the caller (a half-closed side is probed: docs/decisions/008), a timeout, or an invalid request,
 * after which nothing is read, since its end is unknown.
 */
import type { Socket } from 'node:net';
import { BreakwaterError } from '../core/errors.ts';
import { systemClock } from '../gateway/system-clock.ts';
import type { BodyReading, HttpParser, HttpParsers, MessageStart, ParseError, ParserOwner } from '../transport/http-parser.ts';
import { CallerLeft, type CallerPlace, type ExchangeHandler } from './exchange.ts';
import { probeCaller } from './half-closed.ts';
import { isLoopbackAddress } from './head-pairs.ts';
import { headersTimeoutMs, idleTimeoutMs, requestTimeoutMs, windDownIdleMs } from './listener-parts.ts';
import { endWhileReading, faultOf, upgradeRefusal, writeRefusal, type AnswerBroken, type BareAnswer } from './refusals.ts';
import { headFault, wantedProtocol } from './request-head.ts';
import { readHeaders } from './request-headers.ts';
import { SocketExchange, type ExchangeConnection, type SocketRequest } from './socket-exchange.ts';
import { UNREAD_MAX_MS } from './unread-answer.ts';

/** The largest head of a request, in bytes. */
const HEAD_BYTES_MAX = 16 * 1024;
/** The most headers of a request. */
const HEADERS_MAX = 1000;
/** The most waiting requests; beyond it the connection is not read. */
const PIPELINED_MAX = 16;
/** The largest rest of a body that is discarded after its response; a larger one ends the connection. */
const DISCARDED_MAX = 16 * 1024 * 1024;
/** The pattern of node:http. */
const continueExpectation = /(?:^|\W)100-continue(?:$|\W)/i;
/** Delay of the probe of a caller that closed its side between two turns, in milliseconds. */
const probeAgainMs = 100;
/** Delay of the first probe of a caller whose connection is not read, in milliseconds. */
const probeUnreadMs = 1_000;
const noBytes = new Uint8Array(0);

/** The part of a listener that a connection depends on. */
export interface ConnectionHost {
  readonly parsers: HttpParsers;
  readonly handle: ExchangeHandler;
  readonly answerBroken: AnswerBroken;
  /** All callers are local: a unix socket. */
  readonly isLocal: boolean;
  /** Every response closes its connection. */
  readonly windingDown: boolean;
  onClosed(connection: SocketConnection): void;
}

export class SocketConnection implements ParserOwner, ExchangeConnection {
  readonly socket: Socket;
  readonly place: CallerPlace;
  /** Null: a local caller. */
  readonly address: string | null;
  readonly remoteAddress: string | undefined;
  readonly #host: ConnectionHost;
  readonly #parser: HttpParser;
  /** Exchanges with pending responses, in order. */
  readonly #owed: SocketExchange[] = [];
  /** An invalid head, after which nothing is read; its refusal waits for its turn. */
  #refusedHead: { readonly exchange: SocketExchange; readonly refusal: BareAnswer } | null = null;
  /** The current exchange, until its response was passed to the operating system. */
  #current: SocketExchange | null = null;
  /** The start of the next turn is scheduled. */
  #turnScheduled = false;
  /** The exchange whose body is being read. */
  #receiving: SocketExchange | null = null;
  /** What was discarded of its body since its response is complete, in bytes. */
  #discarded = 0;
  /** The rest of a body that is discarded is invalid or too large: the connection ends after the response. */
  #endsAfterResponse = false;
  /** The input was invalid: everything further is ignored. */
  #isRefused = false;
  /** Written after all pending responses. */
  #lastRefusal: BareAnswer | null = null;
  #isHalfClosed = false;
  /** A time limit applies to flushing an ended response. */
  #flushLimited = false;
  /** The start of the message that is being received; -1: none. */
  #messageAt: number;
  #headCame = false;
  /** No message was being received at the last look. */
  #isQuiet = false;
  /** The last request closes the connection. */
  #isLast = false;
  /** Reading is paused. */
  #isHeld = false;
  /** Reading is paused because the body of a later request is incomplete. */
  #isBehind = false;

  constructor(host: ConnectionHost, socket: Socket) {
    this.#host = host;
    this.socket = socket;
    this.remoteAddress = socket.remoteAddress;
    this.place = host.isLocal || isLoopbackAddress(this.remoteAddress) ? 'loopback' : 'remote';
    this.address = this.place === 'loopback' ? null : (this.remoteAddress ?? null);
    this.#messageAt = systemClock.now();
    this.#parser = host.parsers.create('request', HEAD_BYTES_MAX, this);
    socket.setTimeout(idleTimeoutMs);
    socket.on('timeout', () => this.#onTimeout());
    socket.on('error', ignore);
    socket.on('drain', () => this.#current?.drained());
    socket.on('end', () => this.#callerClosed());
    socket.on('close', () => this.#closed());
    this.#parser.attach(socket);
  }

  get isWindingDown(): boolean {
    return this.#host.windingDown;
  }

  /** No pending responses. */
  get isIdle(): boolean {
    return this.#owed.length === 0 && this.#current?.isWritten !== false;
  }

  isTurnOf(exchange: SocketExchange): boolean {
    return this.#current === exchange;
  }

  /** Bytes sent to the caller. */
  get takenBytes(): number {
    // Like the timeouts of node:net, since only the queue size shows the rest of a large write.
    const { _handle: handle } = this.socket as unknown as { _handle: { writeQueueSize?: number } | null };
    return this.socket.bytesWritten - this.socket.writableLength - (handle?.writeQueueSize ?? 0);
  }

  writeInterim(status: string): void {
    this.socket.write(`HTTP/1.1 ${status}\r\n\r\n`, 'latin1');
  }

  holdReading(): void {
    this.#isHeld = true;
    this.#parser.pause();
  }

  readOn(): void {
    if (!this.#isHeld || this.#waiting > PIPELINED_MAX) return;
    this.#isHeld = false;
    if (this.#isBehind) {
      this.#isBehind = false;
      if (!this.#flushLimited) this.socket.setTimeout(idleTimeoutMs);
    }
    if (this.#messageAt >= 0) this.#messageAt = systemClock.now();
    this.#parser.resume();
  }

  get #waiting(): number {
    return this.#owed.length - (this.#current !== null && this.#owed[0] === this.#current ? 1 : 0);
  }

  onMessageBegin(): void {
    this.#messageAt = systemClock.now();
    this.#headCame = false;
    this.#isQuiet = false;
  }

  onHead(start: MessageStart, rawHeaders: string[]): BodyReading {
    this.#headCame = true;
    if (this.#isRefused) return 'normal';
    // A parser that has rested does not know that the last request closes the connection.
    if (start.method === 'CONNECT' || this.#isLast) {
      this.refuse(this.#isLast ? 'HPE_CLOSED_CONNECTION' : 'CONNECT');
      return 'stop';
    }
    this.#isLast = !start.keepsAlive;
    const headers = readHeaders(rawHeaders);
    const { expect } = headers;
    const expects = expect !== undefined && start.version === '1.1';
    const request: SocketRequest = {
      httpVersion: start.version,
      method: start.method ?? '',
      url: start.url,
      headers,
      rawHeaders,
      keepsAlive: start.keepsAlive,
      awaitsContinue: expects && continueExpectation.test(expect),
    };
    const exchange = new SocketExchange(this, request);
    this.#receiving = exchange;
    this.#discarded = 0;
    const refusal = this.#headRefusal(request, expects);
    if (refusal !== null) {
      this.#isRefused = true;
      this.#refusedHead = { exchange, refusal };
    }
    this.#owed.push(exchange);
    if (this.#current === null && !this.#turnScheduled && this.#owed.length === 1) this.#begin(exchange);
    else if (this.#waiting > PIPELINED_MAX) this.holdReading();
    return 'normal';
  }

  /** The refusal of an invalid head; null: valid. */
  #headRefusal(request: SocketRequest, expects: boolean): BareAnswer | null {
    const { answerBroken } = this.#host;
    if (expects && !request.awaitsContinue) return answerBroken(417, `expectation not supported: ${request.headers['expect']}`);
    // The parser also accepts RTSP methods.
    if (request.method === '') return answerBroken(400, 'the request is not valid HTTP');
    if (request.rawHeaders.length > HEADERS_MAX * 2) return answerBroken(431, 'the request head is too large');
    const fault = headFault(request);
    if (fault !== null) return answerBroken(400, fault);
    return request.headers['upgrade'] !== undefined && wantedProtocol(request) !== null ? upgradeRefusal(answerBroken) : null;
  }

  #begin(exchange: SocketExchange): void {
    this.#current = exchange;
    const refused = this.#refusedHead;
    if (refused?.exchange !== exchange) return this.#host.handle(exchange);
    const { refusal } = refused;
    exchange.head(refusal.status, [...refusal.headers, 'connection', 'close']);
    exchange.end(refusal.body);
  }

  onBody(bytes: Buffer): void {
    const receiving = this.#receiving;
    if (receiving === null) return;
    receiving.body.came(bytes);
    if (!receiving.hasEnded || this.#isRefused) return;
    this.#discarded += bytes.length;
    if (this.#discarded > DISCARDED_MAX) this.#abandonBody();
  }

  /** Its response is complete, so there is nothing else to say. */
  #abandonBody(): void {
    this.#isRefused = true;
    this.#endsAfterResponse = true;
    this.#receiving = null;
    if (this.isIdle) endWhileReading(this.socket);
  }

  onMessageComplete(): void {
    this.#messageAt = -1;
    const exchange = this.#receiving;
    this.#receiving = null;
    exchange?.body.ended();
  }

  onParsed(error: ParseError | null): void {
    if (error !== null) this.refuse(error.code);
    else if (this.#receivesLater && !this.#isHeld && !this.#isRefused) this.#holdForTurn();
  }

  /** The message that arrives is a later request, and not the rest of a body whose response is complete, which is read and discarded. */
  get #receivesLater(): boolean {
    const receiving = this.#receiving;
    return receiving !== null && receiving !== this.#current && !receiving.hasEnded;
  }

  /** The rest of a later request is read in its turn. Until then only a write shows that the caller has left. */
  #holdForTurn(): void {
    this.holdReading();
    this.#isBehind = true;
    if (!this.#flushLimited) this.socket.setTimeout(probeUnreadMs);
  }

  /** The response is complete or aborted: nothing more is written to it. */
  settle(exchange: SocketExchange): void {
    const index = this.#owed.indexOf(exchange);
    if (index >= 0) this.#owed.splice(index, 1);
  }

  /** The whole response is written; waits until it was passed to the operating system. */
  answered(exchange: SocketExchange): void {
    if (this.socket.writableLength === 0) this.#flushed(exchange);
    // A TLS socket reports a write that has gone through in the next turn of the event loop.
    else systemClock.schedule(0, () => this.#awaitFlush(exchange));
  }

  #awaitFlush(exchange: SocketExchange): void {
    const { socket } = this;
    if (this.#current !== exchange || socket.destroyed) return;
    if (socket.writableLength === 0) return this.#flushed(exchange);
    this.limitFlush(UNREAD_MAX_MS);
    socket.write(noBytes, () => this.#flushed(exchange));
  }

  #flushed(exchange: SocketExchange): void {
    exchange.answerOver();
    if (this.#current !== exchange || this.socket.destroyed) return;
    this.#current = null;
    if (this.#flushLimited) {
      this.#flushLimited = false;
      this.socket.setTimeout(idleTimeoutMs);
    }
    // The caller of a response that did not announce the end of its connection may be sending its next request.
    if (this.#host.windingDown) this.socket.setTimeout(windDownIdleMs);
    if (exchange.closesConnection) this.#close(exchange);
    else if (this.#owed.length > 0) this.#nextTurn();
    else if (this.#lastRefusal !== null) writeRefusal(this.socket, this.#lastRefusal);
    else if (this.#endsAfterResponse) endWhileReading(this.socket);
    else if (this.#isHalfClosed) this.socket.destroySoon();
  }

  #close({ body }: SocketExchange): void {
    if (body.isReceived) return this.socket.destroySoon();
    this.#isRefused = true;
    endWhileReading(this.socket);
  }

  #nextTurn(): void {
    this.#turnScheduled = true;
    // Sockets use system time, independent of the engine's clock.
    systemClock.schedule(0, () => {
      this.#turnScheduled = false;
      const next = this.#owed[0];
      if (next === undefined || next.hasLeft) return;
      this.#begin(next);
      this.readOn();
    });
  }

  /** Refuses invalid input after all earlier responses, and closes the connection. `code`: see `faultOf`. */
  refuse(code: string): void {
    if (this.#isRefused) return;
    if (!this.socket.writable) return void this.socket.destroy();
    if (this.#receiving?.hasEnded === true) return this.#abandonBody();
    this.#isRefused = true;
    const { status, message } = faultOf(code);
    // The connection was closed during a request.
    const hasLeft = code === 'HPE_INVALID_EOF_STATE';
    const receiving = this.#receiving;
    this.#receiving = null;
    // The invalid input belongs to this request, so the refusal is its response.
    if (receiving !== null && !receiving.body.isReceived) {
      return receiving.stopBody(hasLeft ? new CallerLeft() : new BreakwaterError('invalid_request', message, { status }));
    }
    const refusal = this.#host.answerBroken(status, message, hasLeft);
    if (this.#current === null && this.#owed.length === 0) writeRefusal(this.socket, refusal);
    else this.#lastRefusal = refusal;
  }

  /** Refuses a message that takes too long. While no message arrives (an idle connection, or a long response), frees the parser's memory. */
  look(now: number): void {
    this.#checkTime(now);
    if (this.#isQuiet && !this.#isRefused) this.#parser.rest();
    this.#isQuiet = this.#messageAt < 0;
  }

  #checkTime(now: number): void {
    if (this.#messageAt < 0 || this.#isHeld || this.#isRefused) return;
    const ageMs = now - this.#messageAt;
    if (ageMs >= (this.#headCame ? requestTimeoutMs : headersTimeoutMs)) this.refuse('ERR_HTTP_REQUEST_TIMEOUT');
  }

  limitFlush(ms: number): void {
    this.#flushLimited = true;
    this.socket.setTimeout(ms);
  }

  #callerClosed(): void {
    this.#isHalfClosed = true;
    const error = this.#parser.finish();
    if (error !== null) this.refuse(error.code);
    if (this.#owed.length > 0) this.#probeOrClose();
    else if (error === null && this.#current === null) this.socket.end();
  }

  /** Probes a caller that closed its side, since it may still read. */
  #probeOrClose(): void {
    if (this.#flushLimited) return;
    // Between two turns no response can be written to.
    if (this.#turnScheduled || this.#current?.hasEnded === true) return void this.socket.setTimeout(probeAgainMs);
    if (!probeCaller(this.socket, this.#owed)) this.socket.destroy();
  }

  #onTimeout(): void {
    if (this.#flushLimited || this.#owed.length === 0) this.socket.destroy();
    else if (this.#isHalfClosed) this.#probeOrClose();
    else if (this.#isBehind) probeCaller(this.socket, this.#owed);
  }

  #closed(): void {
    this.#parser.close();
    this.#current?.answerOver();
    this.#current = null;
    this.#receiving = null;
    for (const exchange of this.#owed.splice(0)) exchange.callerLeft();
    this.#host.onClosed(this);
  }
}

function ignore(): void {}
