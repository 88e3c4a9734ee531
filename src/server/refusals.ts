/**
 * Responses to invalid HTTP. Afterwards the connection is not read any more, since the boundary between requests is unknown. Responses to
 * earlier requests are sent completely before.
 */
import type { HeaderPairs } from '../core/headers.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BreakwaterError } from '../core/errors.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { CallerLeft } from './exchange.ts';
import { openExchanges, type TrackedSocket } from './node-exchange.ts';

/** A complete response without a request. */
export interface BareAnswer {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** `hasLeft`: the caller has probably disconnected, so its request does not count as rejected. */
export type AnswerBroken = (status: number, message: string, hasLeft?: boolean) => BareAnswer;

/** How long a caller may take to read the refusal, in milliseconds. */
export const readRefusalMs = 1000;

const refused = Symbol('refused');
type RefusedSocket = TrackedSocket & { [refused]?: boolean };

/** An earlier request on the connection was invalid: this one is ignored. */
export function refusesMore(request: IncomingMessage): boolean {
  return (request.socket as RefusedSocket)[refused] === true;
}

/** Refuses a request because of its head, and closes the connection. */
export function refuseHead(request: IncomingMessage, response: ServerResponse, { status, headers, body }: BareAnswer): void {
  (request.socket as RefusedSocket)[refused] = true;
  response.writeHead(status, [...headers, 'connection', 'close']).end(body);
}

/** Refuses a protocol upgrade. */
export function refuseUpgrade(request: IncomingMessage, response: ServerResponse, answerBroken: AnswerBroken): void {
  refuseHead(request, response, upgradeRefusal(answerBroken));
}

export function upgradeRefusal(answerBroken: AnswerBroken): BareAnswer {
  const { status, headers, body } = answerBroken(426, 'this server supports HTTP/1.1 only: send the request without an Upgrade header');
  return { status, headers: [...headers, 'upgrade', 'HTTP/1.1'], body };
}

/** Refuses invalid input after all earlier responses, and closes the connection. */
export function refuseBroken(error: { readonly code?: string }, socket: Socket, answerBroken: AnswerBroken): void {
  const broken = socket as RefusedSocket;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  if (broken[refused] === true) return;
  broken[refused] = true;
  const { status, message } = faultOf(error.code);
  // The connection was closed during a request.
  const hasLeft = error.code === 'HPE_INVALID_EOF_STATE';
  const last = broken[openExchanges].at(-1);
  if (last === undefined) writeRefusal(socket, answerBroken(status, message, hasLeft));
  // The invalid input belongs to this request, so the refusal is its response.
  else if (!last.isReceived) last.stopBody(hasLeft ? new CallerLeft() : new BreakwaterError('invalid_request', message, { status }));
  else last.onceSent(() => writeRefusal(socket, answerBroken(status, message, hasLeft)));
}

/** `code`: of the parser, of node:http, or `CONNECT`, `CONNECTIONS`. */
export function faultOf(code: string | undefined): { readonly status: number; readonly message: string } {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, message: 'the request was not received in time' };
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, message: 'the request head is too large' };
    case 'CONNECT':
      return { status: 400, message: 'CONNECT is not supported: this is not a proxy' };
    case 'CONNECTIONS':
      return { status: 503, message: 'too many connections are open' };
    default:
      return { status: 400, message: 'the request is not valid HTTP' };
  }
}

const reasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
};

/** Writes a refusal and closes the connection. */
export function writeRefusal(socket: Socket, { status, headers, body }: BareAnswer): void {
  if (!socket.writable) return;
  let head = `HTTP/1.1 ${status} ${reasons[status] ?? 'Refused'}\r\nconnection: close\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.write(`${head}\r\n${Buffer.from(body).toString('latin1')}`, 'latin1');
  endWhileReading(socket);
}

/** Closes this side. A close with unread input would be a reset, and the caller might lose the response, so reading goes on for a short time. */
export function endWhileReading(socket: Socket): void {
  socket.end();
  // Not the socket's own timeout, which every received byte restarts. Sockets use system time, independent of the engine's clock.
  const timer = systemClock.schedule(readRefusalMs, () => socket.destroy());
  socket.once('close', () => timer.cancel());
}
