/**
 * Answers to what is not valid HTTP. After one nothing more is read from its connection: where one request ends and the next begins
 * is not known any more. The requests before it keep their answers, which are sent whole and first.
 */
import type { HeaderPairs } from '../core/headers.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BreakwaterError } from '../core/errors.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { CallerLeft } from './exchange.ts';
import { openExchanges, type TrackedSocket } from './node-exchange.ts';

/** A whole answer that is made without a request. */
export interface BareAnswer {
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
}

/** `hasLeft`: the caller seems to be gone, and its request is no rejected one. */
export type AnswerBroken = (status: number, message: string, hasLeft?: boolean) => BareAnswer;

/** How long the refused caller may take to read its refusal, in milliseconds. */
export const readRefusalMs = 1000;

const refused = Symbol('refused');
type RefusedSocket = TrackedSocket & { [refused]?: boolean };

/** A request before this one on its connection was not valid: this one is not looked at. */
export function refusesMore(request: IncomingMessage): boolean {
  return (request.socket as RefusedSocket)[refused] === true;
}

/** Refuses a request whose head was read and must not be acted on, and ends its connection. */
export function refuseHead(request: IncomingMessage, response: ServerResponse, { status, headers, body }: BareAnswer): void {
  (request.socket as RefusedSocket)[refused] = true;
  response.writeHead(status, [...headers, 'connection', 'close']).end(body);
}

/** Refuses to change to another protocol, and names the one that is served. */
export function refuseUpgrade(request: IncomingMessage, response: ServerResponse, answerBroken: AnswerBroken): void {
  refuseHead(request, response, upgradeRefusal(answerBroken));
}

export function upgradeRefusal(answerBroken: AnswerBroken): BareAnswer {
  const { status, headers, body } = answerBroken(426, 'this server speaks HTTP/1.1 only: send the request without an Upgrade header');
  return { status, headers: [...headers, 'upgrade', 'HTTP/1.1'], body };
}

/** Refuses what the parser could not read, in its turn, and ends the connection. */
export function refuseBroken(error: { readonly code?: string }, socket: Socket, answerBroken: AnswerBroken): void {
  const broken = socket as RefusedSocket;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  if (broken[refused] === true) return;
  broken[refused] = true;
  const { status, message } = faultOf(error.code);
  // Closed in the middle of a request.
  const hasLeft = error.code === 'HPE_INVALID_EOF_STATE';
  const last = broken[openExchanges].at(-1);
  if (last === undefined) writeRefusal(socket, answerBroken(status, message, hasLeft));
  // What could not be read belongs to this request, so that the refusal is its answer.
  else if (!last.isReceived) last.stopBody(hasLeft ? new CallerLeft() : new BreakwaterError('invalid_request', message, { status }));
  else last.onceSent(() => writeRefusal(socket, answerBroken(status, message, hasLeft)));
}

/** By the code of the parser, of node:http, or of our own. */
export function faultOf(code: string | undefined): { readonly status: number; readonly message: string } {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, message: 'the request did not come in time' };
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, message: 'the request head is too large' };
    case 'CONNECT':
      return { status: 400, message: 'CONNECT is not supported: this is no proxy' };
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

/** Writes a refusal as the last thing on its connection. */
export function writeRefusal(socket: Socket, { status, headers, body }: BareAnswer): void {
  if (!socket.writable) return;
  let head = `HTTP/1.1 ${status} ${reasons[status] ?? 'Refused'}\r\nconnection: close\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.end(`${head}\r\n${Buffer.from(body).toString('latin1')}`, 'latin1');
  // Not the socket's own timeout, which starts anew with whatever the caller sends. Sockets are the system's, whatever clock the engine uses.
  const timer = systemClock.schedule(readRefusalMs, () => socket.destroy());
  socket.once('close', () => timer.cancel());
}
