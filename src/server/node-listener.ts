/** The listener over node:http: by configuration, or if the socket listener is not supported. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { limitHandshakes, portOf, setCertificate, startListening, tlsSettings } from './acceptor.ts';
import { CONNECTIONS_MAX, ConnectionShares } from './connection-shares.ts';
import type { ExchangeHandler } from './exchange.ts';
import { probeCaller } from './half-closed.ts';
import { NodeExchange, openExchanges, type TrackedSocket } from './node-exchange.ts';
import { takeTurn } from './pipelined.ts';
import { headersTimeoutMs, keepAliveTimeoutMs, requestTimeoutMs, type Listener, type ListenerOptions } from './listener-parts.ts';
import { headFault, wantedProtocol } from './request-head.ts';
import { refuseBroken, refuseHead, refuseUpgrade, refusesMore, type AnswerBroken } from './refusals.ts';

/** Starts listening; rejects with the error of Node.js (`EADDRINUSE`, `EACCES`, …). */
export async function listenOverNode(options: ListenerOptions): Promise<Listener> {
  const connections = new ConnectionShares<TrackedSocket>(options.connectionsMax ?? CONNECTIONS_MAX, isDisposable);
  const state: ListenerState = { handle: options.handle, isLocal: options.socket !== undefined, connections, windingDown: false };
  const settings = {
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    noDelay: true,
    // Checked in `headFault`.
    requireHostHeader: false,
  };
  const { tls } = options;
  const server = tls === undefined ? createServer(settings) : createTlsServer({ ...settings, ...tlsSettings(tls) });
  const destroyHandshakes = tls === undefined ? (): void => {} : limitHandshakes(server);
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    options.onConnection?.();
    trackConnection(socket, state, options.answerBroken);
  });
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  server.on('timeout', probeOrClose);
  const { answerBroken } = options;
  server.on('request', (request, response) => take(request, response, false));
  server.on('checkContinue', (request, response) => take(request, response, true));
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    if (!refusesMore(request)) refuseHead(request, response, answerBroken(417, `expectation not supported: ${request.headers.expect}`));
  });
  server.on('connect', (_, socket) => refuseBroken({ code: 'CONNECT' }, socket as Socket, answerBroken));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // Without exchanges it is not a connection yet: its TLS handshake failed.
    if ((socket as Partial<TrackedSocket>)[openExchanges] === undefined) socket.destroy();
    else refuseBroken(error, socket, answerBroken);
  });

  function take(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    if (refusesMore(request)) return;
    const fault = headFault(request);
    if (fault !== null) return refuseHead(request, response, answerBroken(400, fault));
    if (request.headers.upgrade !== undefined && wantedProtocol(request) !== null) return refuseUpgrade(request, response, answerBroken);
    takeTurn(new NodeExchange(request, response, state, awaitsContinue), response, state.handle);
  }

  await startListening(server, options);
  return toListener(server, state, options.host, destroyHandshakes);
}

interface ListenerState {
  readonly handle: ExchangeHandler;
  /** All callers are local: a unix socket. */
  readonly isLocal: boolean;
  readonly connections: ConnectionShares<TrackedSocket>;
  windingDown: boolean;
}

function toListener(server: Server, state: ListenerState, host: string, destroyHandshakes: () => void): Listener {
  return {
    host,
    port: portOf(server),
    setCertificate: (files) => setCertificate(server, files),
    windDown() {
      state.windingDown = true;
      closeIdle(state);
    },
    close: () =>
      new Promise((resolve) => {
        closeIdle(state);
        // `close` of net.Server: that of the HTTP server also destroys responses that are not flushed yet.
        NetServer.prototype.close.call(server, () => resolve());
      }),
    destroy() {
      destroyHandshakes();
      server.closeAllConnections();
    },
  };
}

function trackConnection(socket: Socket, { connections }: ListenerState, answerBroken: AnswerBroken): void {
  const tracked = socket as TrackedSocket;
  tracked[openExchanges] = [];
  const displaced = connections.add(tracked);
  if (displaced === 'refused') return refuseBroken({ code: 'CONNECTIONS' }, socket, answerBroken);
  displaced?.destroySoon();
  socket.on('end', () => {
    if (tracked[openExchanges].length > 0) probeOrClose(socket);
  });
  socket.on('close', () => {
    connections.remove(tracked);
    for (const exchange of tracked[openExchanges].splice(0)) exchange.callerLeft();
  });
}

/** Probes a caller that closed its side, since it may still read; any other has timed out. */
function probeOrClose(socket: Socket): void {
  if (!socket.readableEnded || !probeCaller(socket, (socket as TrackedSocket)[openExchanges])) socket.destroy();
}

/** Closes every connection without pending responses, after flushing. */
function closeIdle({ connections }: ListenerState): void {
  for (const socket of connections.all) if (isIdle(socket)) socket.destroySoon();
}

/** Idle, and with nothing left to flush. */
function isDisposable(socket: TrackedSocket): boolean {
  return isIdle(socket) && socket.writableLength === 0;
}

/** No pending responses. */
function isIdle(socket: TrackedSocket): boolean {
  return socket[openExchanges].length === 0;
}
