/**
 * A caller that closes its side of a connection has left, or only says that it sends nothing more: TCP tells both by the same FIN.
 * Only what is written to it shows the difference, for one who has left answers with a reset. So something that says nothing is
 * written, at first soon again, since the reset is seen by the write that follows it.
 */
import type { Socket } from 'node:net';

/**
 * Until the next probe, in milliseconds; the last holds for all that follow. The first is enough for a caller nearby, and the first two for one
 * far away, so that its permits return within a second.
 */
const probeAfterMs = [10, 100, 400] as const;

/** An answer that is owed on a connection. */
export interface Probed {
  /** Writes what says nothing; false: nothing can be written now, or not by this answer. */
  probe(): boolean;
}

const probes = Symbol('probes');
type HalfClosedSocket = Socket & { [probes]?: number };

/** Probes a caller that closed its side, and asks for a 'timeout' event when that has to be done again; false: it has left. */
export function probeCaller(socket: Socket, owed: readonly Probed[]): boolean {
  if (!owed.some((answer) => answer.probe())) return false;
  const halfClosed = socket as HalfClosedSocket;
  const count = halfClosed[probes] ?? 0;
  halfClosed[probes] = count + 1;
  socket.setTimeout(probeAfterMs[Math.min(count, probeAfterMs.length - 1)]!);
  return true;
}
