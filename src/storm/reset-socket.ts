import type { Socket } from 'node:net';

/**
 * Breaks a connection with RST. One whose FIN is under way is closed only: Node would fail to reset it, never close its handle
 * (as of 26), and the process could not exit.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
