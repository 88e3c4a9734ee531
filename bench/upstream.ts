/**
 * A provider with minimal overhead, because it shares a core with the load: bare sockets, and just enough HTTP/1.1 for
 * the contenders (content-length and chunked bodies, keep-alive, no pipelining).
 */
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { prompts } from './bodies.ts';

const eventCount = 100;
const packetCount = 4;
const pacedCount = 50;
const pacedGapMs = 10;

const usage = { prompt_tokens: 250, completion_tokens: 120, total_tokens: 370 };
const created = 1_790_000_000;
const headers =
  'x-request-id: req_bench\r\nopenai-processing-ms: 1\r\n' +
  'x-ratelimit-limit-requests: 100000000\r\nx-ratelimit-remaining-requests: 99999999\r\nx-ratelimit-reset-requests: 1ms\r\n' +
  'x-ratelimit-limit-tokens: 100000000000\r\nx-ratelimit-remaining-tokens: 99999999999\r\nx-ratelimit-reset-tokens: 1ms\r\n';

const plainBody = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'still waters run deep '.repeat(30) }, finish_reason: 'stop' }],
  usage,
});
const plain = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(plainBody)}\r\n\r\n${plainBody}`,
);
const streamHead = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${headers}transfer-encoding: chunked\r\n\r\n`;

const event = (value: object): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created, model: 'bench', ...value })}\n\n`;
const delta = (content: string): string => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const finish = event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
const usageEvent = event({ choices: [], usage });
const done = 'data: [DONE]\n\n';
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** The packets of a complete stream, built once. */
const makePackets = (ending: string): Buffer[] => {
  const events = [...Array.from({ length: eventCount - 1 }, (_, index) => delta(` word${index}`)), finish];
  const perPacket = eventCount / packetCount;
  return Array.from({ length: packetCount }, (_, at) => {
    const text = events.slice(at * perPacket, (at + 1) * perPacket).join('');
    const isLast = at === packetCount - 1;
    return Buffer.from((at === 0 ? streamHead : '') + chunk(isLast ? text + ending : text) + (isLast ? '0\r\n\r\n' : ''));
  });
};
const streams = { bare: makePackets(done), withUsage: makePackets(usageEvent + done) };

function answer(socket: Socket, opening: string): void {
  if (!opening.includes('"stream":true')) socket.write(plain);
  else if (opening.includes(prompts.hold)) socket.write(streamHead + chunk(delta('still')));
  else if (opening.includes(prompts.paced)) pace(socket, 0);
  else send(socket, opening.includes('"include_usage":true') ? streams.withUsage : streams.bare, 0);
}

function send(socket: Socket, packets: readonly Buffer[], at: number): void {
  const packet = packets[at];
  if (!packet || socket.destroyed) return;
  socket.write(packet);
  if (at + 1 < packets.length) setImmediate(send, socket, packets, at + 1);
}

function pace(socket: Socket, count: number): void {
  if (socket.destroyed) return;
  if (count === pacedCount) {
    socket.write(`${chunk(finish + done)}0\r\n\r\n`);
    return;
  }
  socket.write((count === 0 ? streamHead : '') + chunk(delta(`@${process.hrtime.bigint()}@`)));
  setTimeout(pace, pacedGapMs, socket, count + 1);
}

/** Bytes of a request's head and body start that are kept as text, enough to determine the response. */
const openingMax = 2048;

function serve(socket: Socket): void {
  let opening = '';
  let left = -1;
  let tail = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    if (opening.length < openingMax) opening += bytes.toString('latin1', 0, openingMax);
    if (left < 0) {
      const end = bytes.indexOf('\r\n\r\n');
      const known = /\r\ncontent-length: *(\d+)/i.exec(opening)?.[1];
      left = /\r\ntransfer-encoding: *chunked/i.test(opening) ? Infinity : end + 4 + Number(known ?? 0);
    }
    left -= bytes.length;
    if (left === Infinity) tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - 5))).slice(-5);
    if (left > 0 && tail !== '0\r\n\r\n') return;
    answer(socket, opening);
    opening = '';
    tail = '';
    left = -1;
  });
}

// With the paths of a certificate and its key: over TLS.
const [port, cert, key] = process.argv.slice(2);
const isTls = cert !== undefined && key !== undefined;
const server = isTls
  ? createTlsServer({ noDelay: true, cert: readFileSync(cert), key: readFileSync(key) }, serve)
  : createServer({ noDelay: true }, serve);
server.listen(Number(port ?? 0), '127.0.0.1', 4096, () => {
  const address = server.address() as AddressInfo;
  process.stdout.write(`listening on ${isTls ? 'https' : 'http'}://127.0.0.1:${address.port}\n`);
});
