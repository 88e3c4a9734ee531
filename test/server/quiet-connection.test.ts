/** Connections whose parser was freed while they were quiet, over TLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { SocketConnection } from '../../src/server/socket-connection.ts';
import { loadHttpParser } from '../../src/transport/http-parser.ts';
import { makeCertificate, noOpenssl } from './certificate.ts';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-quiet-'));
after(() => rmSync(folder, { recursive: true }));

test('each request over TLS is answered, though its connection was quiet before', { skip: noOpenssl }, async (t) => {
  const parsers = loadHttpParser();
  assert.ok(parsers !== null);
  const { cert, key } = makeCertificate(folder, 'quiet');
  const targets: string[] = [];
  const host = {
    parsers,
    handle: (exchange: { target: string; head(status: number, headers: string[]): void; end(bytes: Uint8Array): void }) => {
      targets.push(exchange.target);
      exchange.head(200, []);
      exchange.end(Buffer.from('done'));
    },
    answerBroken: (status: number) => ({ status, headers: [], body: new Uint8Array(0) }),
    isLocal: false,
    windingDown: false,
    onClosed() {},
  };
  let connection: SocketConnection | undefined;
  const settings = { cert: readFileSync(cert), key: readFileSync(key), allowHalfOpen: true };
  const server = createServer(settings, (socket) => (connection = new SocketConnection(host, socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const caller = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false });
  t.after(() => {
    caller.destroy();
    server.close();
  });
  await once(caller, 'secureConnect');
  for (const target of ['/1', '/2', '/3']) {
    caller.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(caller, 'data');
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    connection!.look(0);
    connection!.look(0);
  }
  assert.deepEqual(targets, ['/1', '/2', '/3']);
  caller.end();
  await once(connection!.socket, 'close');
});
