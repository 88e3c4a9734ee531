/** What comes from a server byte by byte: the sockets of our own take it as undici does, and no response is ever mixed up with another. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createHttpTransport } from '../../src/transport/http-transport.ts';
import type { Transport } from '../../src/transport/transport.ts';

const ok = 'HTTP/1.1 200 OK\r\n';
const chunked = `${ok}transfer-encoding: chunked\r\n\r\n`;
const sized = (body: string, more = ''): string => `${ok}${more}content-length: ${body.length}\r\n\r\n${body}`;

interface RawCase {
  readonly raw: string;
  /** The server closes after it. */
  readonly closes?: boolean;
  /** What is right where undici does otherwise, and its connections. */
  readonly otherwise?: readonly [first: string, connections: string];
}

const cases: Readonly<Record<string, RawCase>> = {
  'a body with its length': { raw: sized('fine') },
  'an empty body': { raw: sized('') },
  'no length, then the end': { raw: `${ok}\r\nfine`, closes: true },
  'HTTP/1.0 without a length': { raw: 'HTTP/1.0 200 OK\r\n\r\nfine', closes: true },
  'HTTP/1.0 with a length': { raw: 'HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nfine' },
  'HTTP/1.0 kept alive': { raw: 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 4\r\n\r\nfine' },
  'connection: close': { raw: sized('fine', 'connection: close\r\n') },
  chunks: { raw: `${chunked}2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n` },
  'chunks with extensions': { raw: `${chunked}2;a=b\r\nfi\r\n2;c="d"\r\nne\r\n0\r\n\r\n` },
  'chunks with trailers': { raw: `${chunked}4\r\nfine\r\n0\r\nx-a: b\r\n\r\n` },
  'chunk sizes in capitals with zeros': { raw: `${chunked}000A\r\n0123456789\r\n00\r\n\r\n` },
  'no reason phrase': { raw: 'HTTP/1.1 200\r\ncontent-length: 4\r\n\r\nfine' },
  'an empty reason phrase': { raw: 'HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\nfine' },
  'a reason phrase in another language': { raw: 'HTTP/1.1 200 \xe4\xf6\r\ncontent-length: 4\r\n\r\nfine' },
  'an unknown status': { raw: 'HTTP/1.1 299 Odd\r\ncontent-length: 4\r\n\r\nfine' },
  '529': { raw: 'HTTP/1.1 529 Overloaded\r\ncontent-length: 4\r\n\r\nfine' },
  '999': { raw: 'HTTP/1.1 999 Odd\r\ncontent-length: 4\r\n\r\nfine' },
  '204': { raw: 'HTTP/1.1 204 No Content\r\n\r\n' },
  '204 with a length': { raw: 'HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nfine' },
  '304 with a length': { raw: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n' },
  'headers without a blank after the colon': { raw: `${ok}a:b\r\ncontent-length:4\r\n\r\nfine` },
  // RFC 9110 5.5: blanks around a value are no part of it.
  'headers with blanks around': {
    raw: `${ok}a: \t b \t\r\ncontent-length:   4  \r\n\r\nfine`,
    otherwise: ['200 {"a":"b","content-length":"4"} fine whole', '1 connections'],
  },
  'a header twice': { raw: sized('fine', 'x-a: 1\r\nx-a: 2\r\nX-A: 3\r\n') },
  'an empty header': { raw: sized('fine', 'x-a:\r\n') },
  'a header with high bytes': { raw: sized('fine', 'x-a: \xfc\r\n') },
  'a header named __proto__': {
    raw: sized('fine', '__proto__: x\r\n'),
    otherwise: ['200 {"content-length":"4"} fine whole', '1 connections'],
  },
  'many headers': { raw: sized('fine', 'x-a: b\r\n'.repeat(200)) },
  'a head of 60 KB': { raw: sized('fine', `x-a: ${'b'.repeat(60_000)}\r\n`) },
  'a head of 100 KB': { raw: sized('fine', `x-a: ${'b'.repeat(100_000)}\r\n`) },
  'blank lines before the head': { raw: `\r\n\r\n${sized('fine')}` },
  '100, then the response': { raw: `HTTP/1.1 100 Continue\r\n\r\n${sized('fine')}` },
  '102 and 103, then the response': { raw: `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${sized('fine')}` },
  '100 alone, then the end': { raw: 'HTTP/1.1 100 Continue\r\n\r\n', closes: true },
  '101': { raw: 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n' },
  '200 with an upgrade header': { raw: sized('fine', 'upgrade: h2c\r\n') },
  '426 with an upgrade header': {
    raw: `HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 4\r\n\r\nfine`,
  },
  'nothing, then the end': { raw: '', closes: true },
  'half a status line, then the end': { raw: 'HTTP/1.1 2', closes: true },
  'half a head, then the end': { raw: `${ok}a: b\r\n`, closes: true },
  'half a body, then the end': { raw: `${ok}content-length: 8\r\n\r\nfine`, closes: true },
  'half a chunk, then the end': { raw: `${chunked}8\r\nfine`, closes: true },
  'chunks without the last, then the end': { raw: `${chunked}4\r\nfine\r\n`, closes: true },
  'the last chunk without its blank line, then the end': { raw: `${chunked}4\r\nfine\r\n0\r\n`, closes: true },
  'a length and chunks': { raw: `${ok}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n` },
  'chunks and a length': { raw: `${ok}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n4\r\nfine\r\n0\r\n\r\n` },
  'two equal lengths': { raw: `${ok}content-length: 4\r\ncontent-length: 4\r\n\r\nfine` },
  'two lengths': { raw: `${ok}content-length: 4\r\ncontent-length: 5\r\n\r\nfine!` },
  'a length with a sign': { raw: `${ok}content-length: +4\r\n\r\nfine` },
  'a negative length': { raw: `${ok}content-length: -4\r\n\r\nfine` },
  'a length that is no number': { raw: `${ok}content-length: four\r\n\r\nfine` },
  'a length list': { raw: `${ok}content-length: 4, 4\r\n\r\nfine` },
  'a huge length': { raw: `${ok}content-length: 99999999999999999999\r\n\r\nfine` },
  'an unknown transfer coding': { raw: `${ok}transfer-encoding: gzip\r\n\r\nfine`, closes: true },
  'chunked before another coding': { raw: `${ok}transfer-encoding: chunked, gzip\r\n\r\n4\r\nfine\r\n0\r\n\r\n`, closes: true },
  'a chunk size that is no number': { raw: `${chunked}g\r\nfine\r\n0\r\n\r\n` },
  'a chunk size with a sign': { raw: `${chunked}+4\r\nfine\r\n0\r\n\r\n` },
  'a chunk longer than its size': { raw: `${chunked}2\r\nfine\r\n0\r\n\r\n` },
  'a chunk size of 17 digits': { raw: `${chunked}10000000000000004\r\nfine\r\n0\r\n\r\n` },
  'lines that end with LF alone': { raw: 'HTTP/1.1 200 OK\ncontent-length: 4\n\nfine' },
  'chunk lines that end with LF alone': { raw: `${chunked}4\nfine\n0\n\n` },
  'lines that end with CR alone': { raw: 'HTTP/1.1 200 OK\rcontent-length: 4\r\rfine' },
  'a folded header': { raw: sized('fine', 'x-a: b\r\n c\r\n') },
  'a blank before the colon': { raw: sized('fine', 'x-a : b\r\n') },
  'a header line without a colon': { raw: sized('fine', 'x-a\r\n') },
  'a header without a name': { raw: sized('fine', ': b\r\n') },
  'a zero byte in a header': { raw: sized('fine', 'x-a: b\0c\r\n') },
  'HTTP/2.0': { raw: 'HTTP/2.0 200 OK\r\ncontent-length: 4\r\n\r\nfine' },
  'HTTP/0.9': { raw: 'fine', closes: true },
  'no HTTP at all': { raw: 'SSH-2.0-OpenSSH_9.6\r\n' },
  'a status of two digits': { raw: 'HTTP/1.1 20 OK\r\ncontent-length: 4\r\n\r\nfine' },
  'a status of four digits': { raw: 'HTTP/1.1 2000 OK\r\ncontent-length: 4\r\n\r\nfine' },
  'a request instead of a response': { raw: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n' },
  'a second response that nobody asked for': { raw: sized('fine') + sized('evil') },
  'bytes behind the response': { raw: `${sized('fine')}evil` },
  'bytes behind the last chunk': { raw: `${chunked}4\r\nfine\r\n0\r\n\r\nevil` },
  'bytes behind a 204': { raw: 'HTTP/1.1 204 No Content\r\n\r\nevil' },
  'a large body': { raw: sized('x'.repeat(300_000)) },
};

/** Answers the first request of each connection with these bytes, as one piece or in several, and every further one with `next`. */
async function serve(t: TestContext, raw: string, closes: boolean, step: number): Promise<{ origin: string; connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    const isFirst = connections++ === 0;
    let requests = 0;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', async () => {
      if (!isFirst || requests++ > 0) return void socket.write(sized('next'));
      for (let at = 0; at < raw.length; at += step) {
        socket.write(raw.slice(at, at + step), 'latin1');
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (closes) socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections };
}

function ask(transport: Transport, origin: string): Promise<string> {
  return new Promise((resolve) => {
    let status = 0;
    let body = '';
    let headers = '';
    transport.send(
      { origin, path: '/', method: 'POST', headers: ['a', 'b'], body: Buffer.from('hello'), connectTimeoutMs: 2000 },
      {
        onSent() {},
        onHeaders(given, all) {
          status = given;
          headers = JSON.stringify(all);
        },
        onData: (chunk) => (body += Buffer.from(chunk).toString('latin1')),
        onEnd: () => resolve(`${status} ${headers} ${body} whole`),
        onError: () => resolve(`${status} ${headers} ${status === 0 ? '' : body} broken`),
      },
    );
  });
}

/** What a caller sees of the raw response, and of a request after it. */
async function story(t: TestContext, client: 'sockets' | 'undici', { raw, closes = false }: RawCase, step: number): Promise<string[]> {
  const transport = await createHttpTransport({ clock: systemClock, client });
  const { origin, connections } = await serve(t, raw, closes, step);
  const first = await ask(transport, origin);
  // A connection serves again a turn after its response.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const second = await ask(transport, origin);
  await transport.close();
  return [first, second, `${connections()} connections`];
}

for (const [name, one] of Object.entries(cases)) {
  test(`a response is taken as undici takes it: ${name}`, async (t) => {
    const expected = await story(t, 'undici', one, one.raw.length || 1);
    if (one.otherwise !== undefined) expected.splice(0, 3, one.otherwise[0], expected[1]!, one.otherwise[1]);
    const seen = await story(t, 'sockets', one, one.raw.length || 1);
    assert.deepEqual(seen, expected);
    if (one.raw.length < 300) assert.deepEqual(await story(t, 'sockets', one, 1), expected, 'byte by byte');
    assert.match(seen[1]!, /next whole$/, 'the next request gets its own response');
  });
}
