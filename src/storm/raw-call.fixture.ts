/** An HTTP client that records every byte, for tests of what a fault does on the wire. */
import { connect } from 'node:net';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

export interface Raw {
  /** Everything received, from the first byte of the head. */
  bytes: Buffer;
  status: number;
  headers: Record<string, string>;
  /** Bytes after the head, as received. */
  rest: Buffer;
  /** The body with the chunk encoding removed. */
  body: Buffer;
  end: 'FIN' | 'RST' | 'open';
}

/** Sends a chat request on its own socket and reads until the connection closes, or until `enough` returns true. */
export function rawCall(port: number, fault: string, body: object = {}, enough?: (text: string) => boolean): Promise<Raw> {
  const chat = { model: 'm', messages: [{ role: 'user', content: 'x' }], ...body };
  return rawPost(port, '/v1/chat/completions', { 'x-storm-fault': fault }, chat, enough);
}

/** The same for any path. */
export function rawPost(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: object,
  enough?: (text: string) => boolean,
): Promise<Raw> {
  return new Promise((resolve) => {
    const text = JSON.stringify(body);
    const socket = connect(port, '127.0.0.1');
    const deltas: Buffer[] = [];
    let end: Raw['end'] = 'open';
    const finish = () => resolve(parse(Buffer.concat(deltas), end));
    socket.on('data', (delta: Buffer) => {
      deltas.push(delta);
      if (enough?.(Buffer.concat(deltas).toString('latin1')) === true) {
        finish();
        socket.destroy();
      }
    });
    socket.on('end', () => (end = 'FIN'));
    socket.on('error', () => (end = 'RST'));
    socket.on('close', finish);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: storm\r\nConnection: close\r\n${lines.join('')}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
  });
}

function parse(bytes: Buffer, end: Raw['end']): Raw {
  const from = afterInformation(bytes);
  const headEnd = bytes.indexOf('\r\n\r\n', from);
  const [first = '', ...lines] = bytes.subarray(from, Math.max(0, headEnd)).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  const rest = headEnd === -1 ? Buffer.alloc(0) : bytes.subarray(headEnd + 4);
  const body = headers['transfer-encoding'] === 'chunked' ? unchunk(rest) : rest;
  return { bytes, status: Number(first.split(' ')[1] ?? 0), headers, rest, body, end };
}

/** Offset of the final response, after informational ones. */
function afterInformation(bytes: Buffer): number {
  let from = 0;
  while (/^HTTP\/1.1 10[03] /.test(bytes.subarray(from, from + 13).toString('latin1'))) from = bytes.indexOf('\r\n\r\n', from) + 4;
  return from;
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
    if (lineEnd === -1 || !(size > 0)) break;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(parts);
}

/** Whether the response is complete. */
export function isWhole(raw: Raw): boolean {
  if (raw.headers['transfer-encoding'] === 'chunked') return /(?:^|\n)0\r\n(?:[\w-]+: .*\r\n)*\r\n$/.test(raw.rest.toString('latin1'));
  return raw.headers['content-length'] === undefined ? raw.end === 'FIN' : raw.rest.length === Number(raw.headers['content-length']);
}

/** The body with its content coding removed. */
export function bytesOf({ body, headers }: Raw): Buffer {
  const coding = headers['content-encoding'];
  if (coding === 'gzip') return gunzipSync(body);
  if (coding === 'br') return brotliDecompressSync(body);
  if (coding === 'zstd') return zstdDecompressSync(body);
  if (coding === 'deflate') return inflateSync(body);
  return coding === 'gzip, br' ? gunzipSync(brotliDecompressSync(body)) : body;
}

/** The decoded body as text. */
export function textOf(raw: Raw): string {
  return bytesOf(raw).toString();
}

/** The events of a stream, by the algorithm of the HTML standard, 9.2.6, on a complete text. */
export function readSse(text: string): { event: string; data: string }[] {
  const events: { event: string; data: string }[] = [];
  let event = '';
  let data: string[] = [];
  for (const line of [...text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/), '']) {
    if (line === '') {
      if (data.length > 0) events.push({ event, data: data.join('\n') });
      event = '';
      data = [];
    }
    const [, field = line, value = ''] = /^([^:]*): ?(.*)$/s.exec(line) ?? [];
    if (field === 'data') data.push(value);
    if (field === 'event') event = value;
  }
  return events;
}
