/** The HTTP listener: connections, timeouts and invalid HTTP. */
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Listener, ListenerOptions } from './listener-parts.ts';
import { listenOverNode } from './node-listener.ts';
import { listenOverSockets } from './socket-listener.ts';

export type { Listener, ListenerOptions } from './listener-parts.ts';

/** Starts listening; rejects with the error of Node.js (`EADDRINUSE`, `EACCES`, …). */
export function listen(options: ListenerOptions): Promise<Listener> {
  const parsers = options.kind === 'node' ? null : options.parsers === undefined ? loadHttpParser() : options.parsers;
  return parsers === null ? listenOverNode(options) : listenOverSockets(options, parsers);
}
