/** The HTTP listener: connections, their timeouts, and what can't be read as HTTP. */
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Listener, ListenerOptions } from './listener-parts.ts';
import { listenOverNode } from './node-listener.ts';
import { listenOverSockets } from './socket-listener.ts';

export type { Listener, ListenerOptions } from './listener-parts.ts';

/** Starts to listen; rejects with Node's own error (`EADDRINUSE`, `EACCES`, …) where that can't be. */
export function listen(options: ListenerOptions): Promise<Listener> {
  const parsers = options.kind === 'node' ? null : options.parsers === undefined ? loadHttpParser() : options.parsers;
  return parsers === null ? listenOverNode(options) : listenOverSockets(options, parsers);
}
