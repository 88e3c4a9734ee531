/**
 * The HTTP listener, and the only file that knows node:http. It is on the hot path: one object per request, shared
 * functions instead of closures, the head held back until the first bytes so that both leave in one packet.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net';
import type { HeaderPairs } from '../pipeline/sink.ts';
import { BodyReader } from './body-reader.ts';
import { hasLength, isEventStream, isLoopbackAddress, isPrintablePair } from './head-pairs.ts';
import { probeCaller, type Probed } from './half-closed.ts';
import { CallerLeft, type BodyGate, type CallerPlace, type Exchange, type ExchangeHandler } from './exchange.ts';

/** Longer than the 60 s of common load balancers, so that it is they who hang up on an idle connection, never we. */
const keepAliveTimeoutMs = 75_000;
/** For a head: beyond it the caller is broken or hostile. For a whole request: 64 MB in this time is 1.7 Mbit/s. */
const headersTimeoutMs = 60_000;
const requestTimeoutMs = 300_000;
/** What is left of an answer that has ended waits so long for a caller that takes not one byte of it. */
const flushStallMs = 120_000;
/** Bodies up to this size leave in one string with their head, which saves a vectored write. */
const joinedBodyBytesMax = 4096;

const noBytes = new Uint8Array(0);
/** What goes out is always whole events, so a comment can stand anywhere. */
const probeComment = ':\n\n';

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly handle: ExchangeHandler;
  /** The answer to what is not HTTP, or came too slowly. */
  readonly answerBroken: (status: number, message: string) => { status: number; headers: HeaderPairs; body: Uint8Array };
  /** A connection could not be taken (too many open files, …); those that are open go on. */
  readonly onError: (error: Error) => void;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** From now on every answer closes its connection, and idle ones are closed at once. New ones are still taken. */
  windDown(): void;
  /** Takes no new connection; resolves when the last one is gone. */
  close(): Promise<void>;
  /** Breaks off every connection. */
  destroy(): void;
}

/** Starts to listen; rejects with Node's own error (`EADDRINUSE`, `EACCES`, …) where that can't be. */
export function listen(options: ListenerOptions): Promise<Listener> {
  const state: ListenerState = { handle: options.handle, connections: new Set(), windingDown: false };
  const server = createServer({
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    noDelay: true,
    // It is asked for below, in our own words.
    requireHostHeader: false,
  });
  server.on('connection', (socket) => trackConnection(socket, state));
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  server.on('timeout', probeOrClose);
  server.on('request', (request, response) => {
    if (request.headers.host !== undefined || request.httpVersion === '1.0')
      state.handle(new NodeExchange(request, response, state, false));
    else refuse(response, 400, 'the host header is missing');
  });
  server.on('checkContinue', (request, response) => state.handle(new NodeExchange(request, response, state, true)));
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    refuse(response, 417, `expectation not supported: ${request.headers.expect}`);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseBroken(error, socket, options.answerBroken));

  function refuse(response: ServerResponse, status: number, message: string): void {
    const answer = options.answerBroken(status, message);
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      server.on('error', options.onError);
      resolve(toListener(server, state, options.host));
    });
  });
}

interface ListenerState {
  readonly handle: ExchangeHandler;
  readonly connections: Set<TrackedSocket>;
  windingDown: boolean;
}

function toListener(server: Server, state: ListenerState, host: string): Listener {
  return {
    host,
    port: (server.address() as AddressInfo).port,
    windDown() {
      state.windingDown = true;
      closeIdle(state);
    },
    close: () =>
      new Promise((resolve) => {
        closeIdle(state);
        // The plain close: the HTTP server's own also cuts off answers that are finished but not flushed yet.
        NetServer.prototype.close.call(server, () => resolve());
      }),
    destroy() {
      for (const socket of state.connections) socket.destroy();
    },
  };
}

const openExchanges = Symbol('open exchanges');
const ownExchange = Symbol('exchange');
type TrackedSocket = Socket & { [openExchanges]: NodeExchange[] };
type TrackedMessage = (IncomingMessage | ServerResponse) & { [ownExchange]: NodeExchange };

function trackConnection(socket: Socket, { connections }: ListenerState): void {
  const tracked = socket as TrackedSocket;
  tracked[openExchanges] = [];
  connections.add(tracked);
  socket.on('end', () => {
    if (tracked[openExchanges].length > 0) probeOrClose(socket);
  });
  socket.on('close', () => {
    connections.delete(tracked);
    for (const exchange of tracked[openExchanges].splice(0)) exchange.callerLeft();
  });
}

/** A caller that closed its side may still read; any other has let its time pass. */
function probeOrClose(socket: Socket): void {
  if (!socket.readableEnded || !probeCaller(socket, (socket as TrackedSocket)[openExchanges])) socket.destroy();
}

/** Ends every connection on which no answer is owed, once it has flushed the last one. */
function closeIdle({ connections }: ListenerState): void {
  for (const socket of connections) if (socket[openExchanges].length === 0) socket.destroySoon();
}

/** What can't be read as HTTP gets a plain answer, unless one is under way on that connection already. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket, answerBroken: ListenerOptions['answerBroken']): void {
  const busy = (socket as TrackedSocket)[openExchanges].some((exchange) => exchange.hasStarted);
  if (error.code === 'ECONNRESET' || !socket.writable || busy) {
    socket.destroy();
    return;
  }
  const timedOut = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const status = timedOut ? 408 : tooLarge ? 431 : 400;
  const messages = { 408: 'the request did not come in time', 431: 'the request head is too large', 400: 'the request is not valid HTTP' };
  const answer = answerBroken(status, messages[status]);
  let head = `HTTP/1.1 ${answer.status} ${status === 400 ? 'Bad Request' : 'Refused'}\r\nconnection: close\r\n`;
  for (let i = 0; i < answer.headers.length; i += 2) head += `${answer.headers[i]}: ${answer.headers[i + 1]}\r\n`;
  socket.end(`${head}\r\n${Buffer.from(answer.body).toString('latin1')}`, 'latin1');
  socket.setTimeout(1000, () => socket.destroy());
}

class NodeExchange implements Exchange, Probed {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #listener: ListenerState;
  readonly #socket: TrackedSocket;
  #awaitsContinue: boolean;
  #status = 0;
  #headers: HeaderPairs | null = null;
  #started = false;
  #over = false;
  #left = false;
  /** Bytes of its connection that the caller had taken when it was last asked. */
  #takenSeen = -1;
  onLeave: (() => void) | null = null;
  #onDrain: (() => void) | null = null;
  #body: BodyReader | null = null;
  #bodyStopped = false;

  constructor(request: IncomingMessage, response: ServerResponse, listener: ListenerState, awaitsContinue: boolean) {
    this.#request = request;
    this.#response = response;
    this.#listener = listener;
    this.#awaitsContinue = awaitsContinue;
    this.#socket = request.socket as TrackedSocket;
    this.#socket[openExchanges].push(this);
    // A write after the socket broke is reported here first, and to `callerLeft` at once after it.
    response.on('error', ignore);
  }

  get method(): string {
    return this.#request.method ?? 'GET';
  }

  get target(): string {
    return this.#request.url ?? '/';
  }

  get place(): CallerPlace {
    return isLoopbackAddress(this.#socket.remoteAddress) ? 'loopback' : 'remote';
  }

  header(name: string): string | undefined {
    return this.#request.headers[name] as string | undefined;
  }

  hasHeaderLike(prefix: string): boolean {
    for (const name in this.#request.headers) if (name.startsWith(prefix)) return true;
    return false;
  }

  get hasLeft(): boolean {
    return this.#left;
  }

  get hasStarted(): boolean {
    return this.#started;
  }

  readBody(gate: BodyGate): Promise<Uint8Array> {
    const { headers } = this.#request;
    const length = headers['content-length'];
    if (length === undefined && headers['transfer-encoding'] === undefined) return Promise.resolve(noBytes);
    return new Promise((resolve, reject) => {
      if (this.#left) throw new CallerLeft();
      if (length !== undefined) gate.announce(Number(length));
      if (this.#awaitsContinue) this.#response.writeContinue();
      this.#awaitsContinue = false;
      this.#body = new BodyReader(gate, resolve, reject);
      const request = this.#request as IncomingMessage & TrackedMessage;
      request[ownExchange] = this;
      request.on('data', onBodyData);
      request.on('end', onBodyEnd);
    });
  }

  stopBody(error: Error): void {
    this.#body?.fail(error);
    this.#body = null;
    this.#bodyStopped = true;
  }

  bodyCame(chunk: Uint8Array): void {
    if (this.#body?.take(chunk) === false) this.#body = null;
  }

  bodyEnded(): void {
    this.#body?.finish();
    this.#body = null;
  }

  head(status: number, headers: HeaderPairs): void {
    this.#status = status;
    this.#headers = headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (!this.#started) this.#start(-1);
    return this.#response.write(bytes);
  }

  probe(): boolean {
    if (this.#response.socket === null || this.#request.httpVersionMinor === 0) return false;
    // Every client knows this interim answer, and may simply discard it (RFC 9110 15.2.1).
    if (!this.#started) this.#response.writeProcessing();
    else if (this.#headers?.some(isEventStream) === true) this.#response.write(probeComment);
    else return false;
    return true;
  }

  readerMoved(): boolean {
    // An answer that waits for another one on its connection can't move.
    if (this.#response.socket === null) return true;
    // As net's own timeouts do, for of a large write nothing else tells what is left.
    const { _handle: handle } = this.#socket as unknown as { _handle: { writeQueueSize?: number } | null };
    const taken = this.#socket.bytesWritten - this.#socket.writableLength - (handle?.writeQueueSize ?? 0);
    const moved = taken !== this.#takenSeen;
    this.#takenSeen = taken;
    return moved;
  }

  onDrain(listener: () => void): void {
    if (this.#over) {
      queueMicrotask(listener);
      return;
    }
    if (this.#onDrain === null) {
      (this.#response as ServerResponse & TrackedMessage)[ownExchange] = this;
      this.#response.once('drain', onDrain);
    }
    this.#onDrain = listener;
  }

  flushed(): void {
    // Another answer on its way must not be measured by this one; for an idle connection Node has set its own.
    if (this.#socket[openExchanges].length > 0) this.#socket.setTimeout(0);
  }

  end(bytes: Uint8Array = noBytes): void {
    if (this.#over) return;
    const wasStarted = this.#started;
    if (!wasStarted) this.#endWhole(bytes);
    else {
      // A head that promised to keep the connection was sent before the winding down began.
      if (this.#listener.windingDown) this.#response.once('finish', () => destroySoon(this.#socket));
      if (bytes.length > 0) this.#response.end(bytes);
      else this.#response.end();
    }
    this.#finish();
    if (this.#socket.writableNeedDrain || (wasStarted && this.#socket.writableLength > 0)) this.#limitFlush();
  }

  abort(): void {
    if (this.#over) return;
    this.#finish();
    // Without chunks only a reset tells the end of an answer from its being broken off (RFC 9112 6.3).
    if (this.#started && this.#request.httpVersionMinor === 0) this.#socket.resetAndDestroy();
    else if (!this.#started || this.#socket.writableNeedDrain) this.#socket.destroy();
    else {
      this.#socket.setTimeout(flushStallMs);
      // Node hands what was just written to the socket in its next tick only.
      process.nextTick(destroySoon, this.#socket);
    }
  }

  callerLeft(): void {
    this.#left = true;
    this.#over = true;
    this.#body?.fail(new CallerLeft());
    this.#body = null;
    const tell = this.onLeave;
    this.onLeave = null;
    tell?.();
    this.wakeWriter();
  }

  /** Bytes of an ended answer are left; they are still flushed, but don't wait for ever. */
  #limitFlush(): void {
    this.#socket.setTimeout(flushStallMs);
    const response = this.#response as ServerResponse & TrackedMessage;
    response[ownExchange] = this;
    response.once('finish', onFlushed);
  }

  #endWhole(bytes: Uint8Array): void {
    this.#start(bytes.length);
    if (bytes.length === 0) this.#response.end();
    else if (bytes.length > joinedBodyBytesMax) this.#response.end(bytes);
    else this.#response.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'), 'latin1');
  }

  /** `bodyBytes`: the length of the whole body, -1 where it is not known yet. */
  #start(bodyBytes: number): void {
    this.#started = true;
    const headers = this.#headers ?? [];
    if (bodyBytes >= 0 && !hasLength(headers) && this.#status !== 204) headers.push('content-length', String(bodyBytes));
    if (this.#listener.windingDown || this.#bodyStopped) headers.push('connection', 'close');
    try {
      this.#response.writeHead(this.#status, headers);
    } catch {
      this.#response.writeHead(this.#status, headers.filter(isPrintablePair));
    }
  }

  #finish(): void {
    this.#over = true;
    this.wakeWriter();
    const open = this.#socket[openExchanges];
    const index = open.indexOf(this);
    if (index >= 0) open.splice(index, 1);
  }

  wakeWriter(): void {
    const listener = this.#onDrain;
    this.#onDrain = null;
    listener?.();
  }
}

function onBodyData(this: IncomingMessage, chunk: Uint8Array): void {
  (this as unknown as TrackedMessage)[ownExchange].bodyCame(chunk);
}

function onBodyEnd(this: IncomingMessage): void {
  (this as unknown as TrackedMessage)[ownExchange].bodyEnded();
}

function onDrain(this: ServerResponse): void {
  (this as unknown as TrackedMessage)[ownExchange].wakeWriter();
}

function onFlushed(this: ServerResponse): void {
  (this as ServerResponse & TrackedMessage)[ownExchange].flushed();
}

function destroySoon(socket: Socket): void {
  socket.destroySoon();
}

function ignore(): void {}
