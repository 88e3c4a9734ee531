import type { Clock } from '../core/clock.ts';
import { loadHttpParser } from '../transport/http-parser.ts';
import { createApp, type AppOptions } from './app.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import { drain } from './drain.ts';
import { listen } from './listener.ts';
import { expiryWarning, readTlsFiles, type TlsFiles } from './tls-files.ts';

export interface ServerOptions extends Omit<AppOptions, 'boundHost'> {
  readonly clock: Clock;
}

export interface Server {
  /** `http://127.0.0.1:4747`, `https://…`, or `unix:/path`. */
  readonly url: string;
  readonly port: number;
  /** Reads the certificate again; one that cannot be used is a warning, and the old one stays. */
  reloadTls(): void;
  /** Refuses new requests, waits up to `server.drainTimeout` for running ones, and closes gateway and listener. */
  drain(): Promise<void>;
}

/** Listens on the configured address; rejects with the error of Node.js, or with `TlsFault`. */
export async function startServer({ clock, ...options }: ServerOptions): Promise<Server> {
  const { gateway } = options;
  const { port } = gateway.config.server;
  const host = gateway.config.server.host.replace(/^\[(.*)\]$/, '$1');
  const { listener: kind, socket: path, socketMode, tls: tlsPaths } = gateway.config.server;
  const socket = path === '' ? undefined : { path, mode: Number.parseInt(socketMode, 8) };
  const tls = tlsPaths.cert === '' ? undefined : readTlsFiles(tlsPaths);
  const app = createApp({ ...options, boundHost: socket === undefined ? host : 'localhost' });
  const warn = (message: string): void => gateway.events.emit({ type: 'warning', at: clock.now(), message });
  const watch = new DescriptorWatch(clock, warn);
  const listener = await listen({
    host,
    port,
    socket,
    tls,
    kind,
    handle: app.handle,
    answerBroken: app.answerBroken,
    onError: (error) => watch.noteError(error),
    onConnection: () => watch.noteConnection(),
  });
  let draining: Promise<void> | null = null;
  if (tls !== undefined) warnOfExpiry(tls);

  if (kind === 'sockets' && loadHttpParser() === null)
    warn('the HTTP parser of this Node.js version is not supported: node:http and undici are used, which need more CPU time');

  function warnOfExpiry(files: TlsFiles): void {
    const warning = expiryWarning(files, clock.epochMs());
    if (warning !== null) warn(warning);
  }

  function reloadTls(): void {
    if (tls === undefined) return;
    try {
      const files = readTlsFiles(tlsPaths);
      listener.setCertificate(files);
      gateway.events.emit({ type: 'lifecycle', at: clock.now(), state: 'reloaded', detail: 'certificate of server.tls' });
      warnOfExpiry(files);
    } catch (error) {
      warn(`${error instanceof Error ? error.message : String(error)}; the old certificate stays in use`);
    }
  }

  const authority = `${host.includes(':') ? `[${host}]` : host}:${listener.port}`;
  return {
    url: socket === undefined ? `${tls === undefined ? 'http' : 'https'}://${authority}` : `unix:${socket.path}`,
    port: listener.port,
    reloadTls,
    drain() {
      draining ??= drain({ app, gateway, listener, clock, timeoutMs: gateway.config.server.drainTimeout }).finally(() => watch.close());
      return draining;
    },
  };
}
