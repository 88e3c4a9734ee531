import type { Clock } from '../core/clock.ts';
import { loadHttpParser } from '../transport/http-parser.ts';
import { createApp, type AppOptions } from './app.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import { drain } from './drain.ts';
import { listen } from './listener.ts';

export interface ServerOptions extends Omit<AppOptions, 'boundHost'> {
  readonly clock: Clock;
}

export interface Server {
  /** `http://127.0.0.1:4747`. */
  readonly url: string;
  readonly port: number;
  /** Refuses new requests, waits up to `server.drainTimeout` for running ones, and closes gateway and listener. */
  drain(): Promise<void>;
}

/** Listens on the configured address; rejects with the error of Node.js. */
export async function startServer({ clock, ...options }: ServerOptions): Promise<Server> {
  const { gateway } = options;
  const { port } = gateway.config.server;
  const host = gateway.config.server.host.replace(/^\[(.*)\]$/, '$1');
  const app = createApp({ ...options, boundHost: host });
  const kind = gateway.config.server.listener;
  const warn = (message: string): void => gateway.events.emit({ type: 'warning', at: clock.now(), message });
  const watch = new DescriptorWatch(clock, warn);
  const listener = await listen({
    host,
    port,
    kind,
    handle: app.handle,
    answerBroken: app.answerBroken,
    onError: (error) => watch.noteError(error),
    onConnection: () => watch.noteConnection(),
  });
  let draining: Promise<void> | null = null;

  if (kind === 'sockets' && loadHttpParser() === null)
    warn('the HTTP parser of this Node.js version is not supported: node:http and undici are used, which need more CPU time');

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${listener.port}`,
    port: listener.port,
    drain() {
      draining ??= drain({ app, gateway, listener, clock, timeoutMs: gateway.config.server.drainTimeout }).finally(() => watch.close());
      return draining;
    },
  };
}
