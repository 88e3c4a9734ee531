/**
 * A FIN from the caller means either that it has disconnected, or only that it sends nothing more. Only a write shows the difference: a
 * caller that has disconnected replies with a reset. So a write without content is sent as a probe; the second one follows soon, since a
 * reset is detected by the next write.
 */
import type { Socket } from 'node:net';

/**
 * Delays until the next probe, in milliseconds; the last applies to all further ones. The first is enough for a caller nearby, and the first two
 * for a distant one, so that its permits are released within a second.
 */
const probeAfterMs = [10, 100, 400] as const;

/** A pending response on a connection. */
export interface Probed {
  /** Writes something without content; false: not possible now, or not in this response. */
  probe(): boolean;
}

const probes = Symbol('probes');
type HalfClosedSocket = Socket & { [probes]?: number };

/** Probes a caller that closed its side, and sets the socket's timeout for the next probe; false: no probe is possible. */
export function probeCaller(socket: Socket, pending: readonly Probed[]): boolean {
  if (!pending.some((response) => response.probe())) return false;
  const halfClosed = socket as HalfClosedSocket;
  const count = halfClosed[probes] ?? 0;
  halfClosed[probes] = count + 1;
  socket.setTimeout(probeAfterMs[Math.min(count, probeAfterMs.length - 1)]!);
  return true;
}
