/**
 * Requests that are sent one behind the other on a connection, without waiting for the answers. One at a time is worked on: the next
 * begins when the answer before it has been handed to the system, after a turn of the event loop. So a connection takes no more of
 * the process than one that waits for its answers, and no more than one of its answers is held.
 */
import type { ServerResponse } from 'node:http';
import { systemClock } from '../gateway/system-clock.ts';
import type { ExchangeHandler } from './exchange.ts';
import type { NodeExchange, TrackedSocket } from './node-exchange.ts';

/** Beyond this many requests that wait for their turn on a connection nothing more is read from it. */
export const PIPELINED_MAX = 16;

const waitingTurns = Symbol('waiting turns');
const isHeld = Symbol('is held');
type PipeliningSocket = TrackedSocket & { [waitingTurns]?: number; [isHeld]?: boolean };

/** Begins with the request when it is the first on its connection whose answer is owed. */
export function takeTurn(exchange: NodeExchange, response: ServerResponse, handle: ExchangeHandler): void {
  if (response.socket !== null) return handle(exchange);
  const socket = exchange.socket as PipeliningSocket;
  const waiting = (socket[waitingTurns] ?? 0) + 1;
  socket[waitingTurns] = waiting;
  if (waiting === PIPELINED_MAX + 1) hold(socket);
  // Sockets are the system's, whatever clock the engine goes by.
  response.once('socket', () => systemClock.schedule(0, () => begin(exchange, socket, handle)));
}

function hold(socket: PipeliningSocket): void {
  socket.pause();
  // At the end of each message the parser resumes its socket, in a later tick.
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
