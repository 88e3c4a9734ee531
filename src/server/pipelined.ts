/**
 * Pipelined requests on a connection are handled one at a time: the next starts when the previous response was passed to the operating
 * system, after a turn of the event loop. So pipelining gives a connection no larger share of the process, and at most one of its responses
 * is buffered.
 */
import type { ServerResponse } from 'node:http';
import { systemClock } from '../gateway/system-clock.ts';
import type { ExchangeHandler } from './exchange.ts';
import type { NodeExchange, TrackedSocket } from './node-exchange.ts';

/** The most waiting requests on a connection; beyond it the connection is not read. */
export const PIPELINED_MAX = 16;

const waitingTurns = Symbol('waiting turns');
const isHeld = Symbol('is held');
type PipeliningSocket = TrackedSocket & { [waitingTurns]?: number; [isHeld]?: boolean };

/** Starts the request when it is the first pending one on its connection. */
export function takeTurn(exchange: NodeExchange, response: ServerResponse, handle: ExchangeHandler): void {
  if (response.socket !== null) return handle(exchange);
  const socket = exchange.socket as PipeliningSocket;
  const waiting = (socket[waitingTurns] ?? 0) + 1;
  socket[waitingTurns] = waiting;
  if (waiting === PIPELINED_MAX + 1) hold(socket);
  // Sockets use system time, independent of the engine's clock.
  response.once('socket', () => systemClock.schedule(0, () => begin(exchange, socket, handle)));
}

function hold(socket: PipeliningSocket): void {
  socket.pause();
  // After each message the parser resumes its socket, in a later tick.
  if (socket[isHeld] !== true) socket.on('resume', pauseFull);
  socket[isHeld] = true;
}

function pauseFull(this: PipeliningSocket): void {
  if (this[waitingTurns]! > PIPELINED_MAX) this.pause();
}

function begin(exchange: NodeExchange, socket: PipeliningSocket, handle: ExchangeHandler): void {
  const waiting = socket[waitingTurns]! - 1;
  socket[waitingTurns] = waiting;
  if (waiting <= PIPELINED_MAX && socket.isPaused()) socket.resume();
  if (!exchange.hasLeft) handle(exchange);
}
