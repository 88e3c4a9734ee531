/** The HTTP listener: connections, their timeouts, and what can't be read as HTTP. */
import { loadHttpParser } from '../transport/http-parser.ts';
import type { Listener, ListenerOptions } from './listener-parts.ts';
import { listenOverSockets } from './socket-listener.ts';

export type { Listener, ListenerOptions } from './listener-parts.ts';

/** Starts to listen; rejects with Node's own error (`EADDRINUSE`, `EACCES`, …) where that can't be. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const parsers = options.kind === 'node' ? null : options.parsers === undefined ? loadHttpParser() : options.parsers;
  if (parsers !== null) return listenOverSockets(options, parsers);
  // With node:http, a fetch of Node's own is loaded: 18 MB.
  const { listenOverNode } = await import('./node-listener.ts');
  return listenOverNode(options);
}
