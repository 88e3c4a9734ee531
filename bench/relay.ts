/**
 * The reference: a minimal Node relay. It reads the whole body, forwards it over keep-alive connections and streams the
 * response back with back-pressure. `--parse` also parses and serialises the body, like a gateway that has to change
 * it; `--tls CERT KEY` listens over TLS.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Pool, type Dispatcher } from 'undici';

const [origin = ''] = process.argv.slice(2);
const parses = process.argv.includes('--parse');
const tls = process.argv.indexOf('--tls');
const pool = new Pool(origin, { connections: null, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
const hopHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding']);

class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('drain', () => controller.resume());
    this.#response.on('close', () => {
      if (!this.#response.writableFinished) controller.abort(new Error('the caller disconnected'));
    });
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !hopHeaders.has(name)));
    this.#response.writeHead(status, kept as Record<string, string | string[]>);
  }

  onResponseData(controller: Dispatcher.DispatchController, bytes: Buffer): void {
    if (!this.#response.write(bytes)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy();
    else this.#response.writeHead(502).end();
  }
}

function relay(request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('error', () => response.destroy());
  request.on('end', () => {
    const [only] = pieces;
    const bytes = pieces.length === 1 && only ? only : Buffer.concat(pieces);
    const { authorization = '' } = request.headers;
    pool.dispatch(
      {
        path: request.url ?? '/',
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: parses ? JSON.stringify(JSON.parse(bytes.toString())) : bytes,
      },
      new Relay(response),
    );
  });
}

const server = tls < 0 ? createServer({ keepAliveTimeout: 0 }, relay) : await createTlsServer();
server.listen(0, '127.0.0.1', 4096, () => {
  const { port } = server.address() as { port: number };
  process.stdout.write(`listening on ${tls < 0 ? 'http' : 'https'}://127.0.0.1:${port}\n`);
});

async function createTlsServer(): Promise<Server> {
  const [cert = '', key = ''] = process.argv.slice(tls + 1);
  const https = await import('node:https');
  return https.createServer({ keepAliveTimeout: 0, cert: readFileSync(cert), key: readFileSync(key) }, relay);
}
