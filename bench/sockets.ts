/**
 * Breakwater's own listener and client without the engine between them: a relay like `relay.ts`. What it costs is the least that a gateway
 * on these sockets can cost.
 */
import { systemClock } from '../src/gateway/system-clock.ts';
import type { BodyGate, Exchange } from '../src/server/exchange.ts';
import { listenOverSockets } from '../src/server/socket-listener.ts';
import { loadHttpParser } from '../src/transport/http-parser.ts';
import { createSocketTransport } from '../src/transport/socket-transport.ts';
import type { Transport } from '../src/transport/transport.ts';

const [origin = ''] = process.argv.slice(2);
const hopHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding']);
const connectTimeoutMs = 5000;
const anySize: BodyGate = { announce() {}, accept() {} };

async function relay(exchange: Exchange, transport: Transport): Promise<void> {
  const body = await exchange.readBody(anySize);
  /** The first chunk, which is written together with the head if it is the only one. */
  let first: Uint8Array | null = null;
  let isFirst = true;
  let hasLength = false;
  const call = transport.send(
    {
      origin,
      path: exchange.target,
      method: 'POST',
      headers: ['authorization', exchange.header('authorization') ?? '', 'content-type', 'application/json'],
      body,
      connectTimeoutMs,
    },
    {
      onSent() {},
      onHeaders(status, headers) {
        hasLength = headers['content-length'] !== undefined;
        exchange.head(
          status,
          Object.entries(headers).flatMap(([name, value]) => (hopHeaders.has(name) ? [] : [name, String(value)])),
        );
      },
      onData(chunk) {
        if (isFirst && hasLength) {
          isFirst = false;
          first = chunk;
          return;
        }
        const isRoomy = first === null || exchange.write(first);
        first = null;
        if (exchange.write(chunk) && isRoomy) return;
        call.pause();
        exchange.onDrain(() => call.resume());
      },
      onEnd: () => exchange.end(first ?? undefined),
      onError: () => exchange.abort(),
    },
  );
  exchange.onLeave = () => call.abort();
}

const parsers = loadHttpParser();
if (parsers === null) throw new Error('the HTTP parser of this Node.js version is not supported');
const transport = createSocketTransport({ clock: systemClock, parsers });
const listener = await listenOverSockets(
  {
    host: '127.0.0.1',
    port: 0,
    handle: (exchange) => void relay(exchange, transport).catch(() => exchange.abort()),
    answerBroken: (status) => ({ status, headers: [], body: new Uint8Array() }),
    onError: (error) => process.stderr.write(`${error.message}\n`),
  },
  parsers,
);
process.stdout.write(`listening on http://127.0.0.1:${listener.port}\n`);
