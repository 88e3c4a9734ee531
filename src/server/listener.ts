/** The HTTP listener: connections, timeouts and invalid HTTP. */
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Listener, ListenerOptions } from './listener-parts.ts';
import { listenOverSockets } from './socket-listener.ts';

export type { Listener, ListenerOptions } from './listener-parts.ts';

/** Starts listening; rejects with the error of Node.js (`EADDRINUSE`, `EACCES`, …). */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const parsers = options.kind === 'node' ? null : options.parsers === undefined ? loadHttpParser() : options.parsers;
  if (parsers !== null) return listenOverSockets(options, parsers);
  // With node:http, a fetch of Node's own is loaded: 18 MB.
  const { listenOverNode } = await import('./node-listener.ts');
  return listenOverNode(options);
}
