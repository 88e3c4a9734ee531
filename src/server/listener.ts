/** The HTTP listener: connections, their timeouts, and what can't be read as HTTP. Only it and its exchange know node:http. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net';
import type { HeaderPairs } from '../pipeline/sink.ts';
import type { ExchangeHandler } from './exchange.ts';
import { probeCaller } from './half-closed.ts';
import { NodeExchange, openExchanges, type TrackedSocket } from './node-exchange.ts';

/** Longer than the 60 s of common load balancers, so that it is they who hang up on an idle connection, never we. */
const keepAliveTimeoutMs = 75_000;
/** For a head: beyond it the caller is broken or hostile. For a whole request: 64 MB in this time is 1.7 Mbit/s. */
const headersTimeoutMs = 60_000;
const requestTimeoutMs = 300_000;

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly handle: ExchangeHandler;
  /** The answer to what is not HTTP, or came too slowly. */
  readonly answerBroken: (status: number, message: string, hasLeft?: boolean) => { status: number; headers: HeaderPairs; body: Uint8Array };
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
  // Closed in the middle of a request: the caller has left, most probably.
  const hasLeft = error.code === 'HPE_INVALID_EOF_STATE';
  const answer = answerBroken(status, messages[status], hasLeft);
  let head = `HTTP/1.1 ${answer.status} ${status === 400 ? 'Bad Request' : 'Refused'}\r\nconnection: close\r\n`;
  for (let i = 0; i < answer.headers.length; i += 2) head += `${answer.headers[i]}: ${answer.headers[i + 1]}\r\n`;
  socket.end(`${head}\r\n${Buffer.from(answer.body).toString('latin1')}`, 'latin1');
  socket.setTimeout(1000, () => socket.destroy());
}
