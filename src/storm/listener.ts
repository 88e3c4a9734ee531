/** The server socket: listening, going down and up, and receiving requests. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Received } from './dialect.ts';
import { resetSocket } from './reset-socket.ts';

const BODY_BYTES_MAX = 256 * 1024 * 1024;
const BACKLOG = 4096;

export type RequestTaker = (received: Received, res: ServerResponse) => void;

export interface Listener {
  port: number;
  /** Closes the listener and destroys every connection, or listens again on the same port. */
  setDown(down: boolean): Promise<void>;
  isDown(): boolean;
  close(): Promise<void>;
}

/**
 * Starts listening. `take` receives each request once its body is complete; `connected` is called as connections open
 * (1) and close (-1).
 */
export async function listen(host: string, port: number, take: RequestTaker, connected: (by: 1 | -1) => void): Promise<Listener> {
  // No timeouts: Storm closes a connection only if a fault requires it.
  const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 }, (req, res) => receive(req, res, take));
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    connected(1);
    socket.once('close', () => {
      sockets.delete(socket);
      connected(-1);
    });
  });
  let isDown = false;
  await start(port);
  const address = server.address() as AddressInfo;

  // Changes run one after another; a failed one (the port was taken in between) does not affect the next.
  let changes: Promise<void> = Promise.resolve();
  function change(task: () => Promise<void>): Promise<void> {
    const done = changes.then(task);
    changes = done.catch(() => undefined);
    return done;
  }

  function resume(): Promise<void> {
    return server.listening ? Promise.resolve() : start(address.port);
  }

  function start(at: number): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: at, host, backlog: BACKLOG }, () => {
        server.off('error', reject);
        isDown = false;
        resolve();
      });
    });
  }

  function stop(): Promise<void> {
    isDown = true;
    if (!server.listening) return Promise.resolve();
    return new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) resetSocket(socket);
    });
  }

  return {
    port: address.port,
    isDown: () => isDown,
    setDown: (down) => change(() => (down ? stop() : resume())),
    close: () => change(stop),
  };
}

function receive(req: IncomingMessage, res: ServerResponse, take: RequestTaker): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) req.destroy();
  });
  req.on('end', () => {
    const url = req.url ?? '/';
    const query = url.indexOf('?');
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const received: Received = { method: req.method ?? 'GET', path: query === -1 ? url : url.slice(0, query), headers: req.headers, body };
    if (query !== -1) received.query = url.slice(query + 1);
    take(received, res);
  });
  // An upload aborted by the caller is not a call.
  req.on('error', () => undefined);
}
