import type { Socket } from 'node:net';

/**
 * Closes a connection with RST. A connection with a pending FIN is only destroyed: Node (as of 26) would fail to reset
 * it and never close its handle, which keeps the process from exiting.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
