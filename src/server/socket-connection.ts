/**
 * One connection from a caller: reads requests, gives each its turn, and ends in good order.
 *
 * ## Turns
 * Requests that are sent one behind the other are worked on one at a time: the next begins when the response before it has been handed to the
 * system, after a turn of the event loop. So a connection takes no more of the process than one that waits for its responses.
 *
 * ## What ends it
 * A response that says so, the caller (whose closed side is probed: docs/decisions/008), time, or a request that is not valid: nothing
 * after that is read, for where it ends is not known.
 */
import type { Socket } from 'node:net';
import { BreakwaterError } from '../core/errors.ts';
import { systemClock } from '../gateway/system-clock.ts';
import type { BodyReading, HttpParser, HttpParsers, MessageStart, ParseError, ParserOwner } from '../transport/http-parser.ts';
import { CallerLeft, type CallerPlace, type ExchangeHandler } from './exchange.ts';
import { probeCaller } from './half-closed.ts';
import { isLoopbackAddress } from './head-pairs.ts';
import { headersTimeoutMs, keepAliveTimeoutMs, requestTimeoutMs } from './listener-parts.ts';
import { faultOf, upgradeRefusal, writeRefusal, type AnswerBroken, type BareAnswer } from './refusals.ts';
import { headFault, wantedProtocol } from './request-head.ts';
import { readHeaders } from './request-headers.ts';
import { SocketExchange, type ExchangeConnection, type SocketRequest } from './socket-exchange.ts';

/** A request whose head is larger is refused, in bytes. */
const HEAD_BYTES_MAX = 16 * 1024;
/** A request with more headers is refused. */
const HEADERS_MAX = 1000;
/** Beyond this many requests that wait for their turn nothing more is read. */
const PIPELINED_MAX = 16;
/** As node:http recognises it. */
const continueExpectation = /(?:^|\W)100-continue(?:$|\W)/i;
/** A caller that closed its side between two turns is looked at again after so long, in milliseconds. */
const probeAgainMs = 100;
const noBytes = new Uint8Array(0);

/** What a connection has to know of its listener. */
export interface ConnectionHost {
  readonly parsers: HttpParsers;
  readonly handle: ExchangeHandler;
  readonly answerBroken: AnswerBroken;
  /** Every response closes its connection. */
  readonly windingDown: boolean;
  onClosed(connection: SocketConnection): void;
}

export class SocketConnection implements ParserOwner, ExchangeConnection {
  readonly socket: Socket;
  readonly place: CallerPlace;
  /** Null: on this machine. */
  readonly address: string | null;
  readonly remoteAddress: string | undefined;
  readonly #host: ConnectionHost;
  readonly #parser: HttpParser;
  /** Their responses are owed, in order. */
  readonly #owed: SocketExchange[] = [];
  /** Refusals of heads that wait for their turn. */
  readonly #headRefusals = new Map<SocketExchange, BareAnswer>();
  /** Whose turn it is, until its response has been handed to the system. */
  #current: SocketExchange | null = null;
  /** The next turn begins soon. */
  #turnScheduled = false;
  /** Whose body is being read. */
  #receiving: SocketExchange | null = null;
  /** What was sent is not valid: nothing more is looked at. */
  #isRefused = false;
  /** To be written once every owed response is out. */
  #lastRefusal: BareAnswer | null = null;
  #isHalfClosed = false;
  /** Its time to flush an ended response is limited. */
  #flushLimited = false;
  /** When what is being received began, by the clock; -1: nothing is. */
  #messageAt: number;
  #headCame = false;
  /** Reading is held by us. */
  #isHeld = false;

  constructor(host: ConnectionHost, socket: Socket) {
    this.#host = host;
    this.socket = socket;
    this.remoteAddress = socket.remoteAddress;
    this.place = isLoopbackAddress(this.remoteAddress) ? 'loopback' : 'remote';
    this.address = this.place === 'loopback' ? null : (this.remoteAddress ?? null);
    this.#messageAt = systemClock.now();
    this.#parser = host.parsers.create('request', HEAD_BYTES_MAX, this);
    socket.setTimeout(keepAliveTimeoutMs);
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

  /** No response is owed on it. */
  get isIdle(): boolean {
    return this.#owed.length === 0;
  }

  isTurnOf(exchange: SocketExchange): boolean {
    return this.#current === exchange;
  }

  /** Bytes that the caller's side has taken. */
  get takenBytes(): number {
    // As net's own timeouts do, for of a large write nothing else tells what is left.
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
    if (this.#messageAt >= 0) this.#messageAt = systemClock.now();
    this.#parser.resume();
  }

  get #waiting(): number {
    return this.#owed.length - (this.#current !== null && this.#owed[0] === this.#current ? 1 : 0);
  }

  onMessageBegin(): void {
    this.#messageAt = systemClock.now();
    this.#headCame = false;
  }

  onHead(start: MessageStart, rawHeaders: string[]): BodyReading {
    this.#headCame = true;
    if (this.#isRefused) return 'normal';
    if (start.method === 'CONNECT') {
      this.refuse('CONNECT');
      return 'stop';
    }
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
    const refusal = this.#headRefusal(request, expects);
    if (refusal !== null) {
      this.#isRefused = true;
      this.#headRefusals.set(exchange, refusal);
    }
    this.#owed.push(exchange);
    if (this.#current === null && !this.#turnScheduled && this.#owed.length === 1) this.#begin(exchange);
    else if (this.#waiting > PIPELINED_MAX) this.holdReading();
    return 'normal';
  }

  /** What is said to a head that must not be acted on; null: nothing is wrong with it. */
  #headRefusal(request: SocketRequest, expects: boolean): BareAnswer | null {
    const { answerBroken } = this.#host;
    if (expects && !request.awaitsContinue) return answerBroken(417, `expectation not supported: ${request.headers['expect']}`);
    // The parser knows methods of RTSP too.
    if (request.method === '') return answerBroken(400, 'the request is not valid HTTP');
    if (request.rawHeaders.length > HEADERS_MAX * 2) return answerBroken(431, 'the request head is too large');
    const fault = headFault(request);
    if (fault !== null) return answerBroken(400, fault);
    return request.headers['upgrade'] !== undefined && wantedProtocol(request) !== null ? upgradeRefusal(answerBroken) : null;
  }

  #begin(exchange: SocketExchange): void {
    this.#current = exchange;
    const refusal = this.#headRefusals.get(exchange);
    if (refusal === undefined) return this.#host.handle(exchange);
    this.#headRefusals.delete(exchange);
    exchange.head(refusal.status, [...refusal.headers, 'connection', 'close']);
    exchange.end(refusal.body);
  }

  onBody(bytes: Buffer): void {
    this.#receiving?.body.came(bytes);
  }

  onMessageComplete(): void {
    this.#messageAt = -1;
    const exchange = this.#receiving;
    this.#receiving = null;
    exchange?.body.ended();
  }

  onParsed(error: ParseError | null): void {
    if (error !== null) this.refuse(error.code);
  }

  /** Its response is whole, or broken off: nothing more will be written to it. */
  settle(exchange: SocketExchange): void {
    const index = this.#owed.indexOf(exchange);
    if (index >= 0) this.#owed.splice(index, 1);
  }

  /** The last of its response has been written; looks when all of it has been handed to the system. */
  answered(exchange: SocketExchange): void {
    if (this.socket.writableLength === 0) this.#flushed(exchange);
    else this.socket.write(noBytes, () => this.#flushed(exchange));
  }

  #flushed(exchange: SocketExchange): void {
    exchange.answerOver();
    if (this.#current !== exchange || this.socket.destroyed) return;
    this.#current = null;
    if (this.#flushLimited) {
      this.#flushLimited = false;
      this.socket.setTimeout(keepAliveTimeoutMs);
    }
    if (exchange.closesConnection || this.#host.windingDown) this.socket.destroySoon();
    else if (this.#owed.length > 0) this.#nextTurn();
    else if (this.#lastRefusal !== null) writeRefusal(this.socket, this.#lastRefusal);
    else if (this.#isHalfClosed) this.socket.destroySoon();
  }

  #nextTurn(): void {
    this.#turnScheduled = true;
    // Sockets are the system's, whatever clock the engine goes by.
    systemClock.schedule(0, () => {
      this.#turnScheduled = false;
      const next = this.#owed[0];
      if (next === undefined || next.hasLeft) return;
      this.#begin(next);
      this.readOn();
    });
  }

  /** Refuses what can't be read, in its turn, and ends the connection. `code`: of the parser, of time, or of our own. */
  refuse(code: string): void {
    if (!this.socket.writable) return void this.socket.destroy();
    if (this.#isRefused) return;
    this.#isRefused = true;
    const { status, message } = faultOf(code);
    // Closed in the middle of a request.
    const hasLeft = code === 'HPE_INVALID_EOF_STATE';
    const receiving = this.#receiving;
    this.#receiving = null;
    // What could not be read belongs to this request, so that the refusal is its response.
    if (receiving !== null && !receiving.body.isReceived && !receiving.hasEnded) {
      return receiving.stopBody(hasLeft ? new CallerLeft() : new BreakwaterError('invalid_request', message, { status }));
    }
    const refusal = this.#host.answerBroken(status, message, hasLeft);
    if (this.#current === null && this.#owed.length === 0) writeRefusal(this.socket, refusal);
    else this.#lastRefusal = refusal;
  }

  /** Looks whether what is being received has taken too long. */
  checkTime(now: number): void {
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

  /** A caller that closed its side may still read; any other has let its time pass. */
  #probeOrClose(): void {
    // Between two turns nothing can be written to any of them.
    if (this.#isHalfClosed && (this.#turnScheduled || this.#current?.hasEnded === true)) return void this.socket.setTimeout(probeAgainMs);
    if (!this.#isHalfClosed || !probeCaller(this.socket, this.#owed)) this.socket.destroy();
  }

  #onTimeout(): void {
    const isBusy = this.#owed.length > 0 && !this.#flushLimited && !this.#isHalfClosed;
    if (!isBusy) this.#probeOrClose();
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
