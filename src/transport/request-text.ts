/** Serializes a request head. */
import type { UpstreamRequest } from './transport.ts';

const token = /^[\w!#$%&'*+.^`|~-]+$/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const notInPath = /[^\x21-\xff]/;
/** Valid names, and how they are in lower case: few names recur in every request. */
const lowerNames = new Map<string, string>();
/** More are not kept. */
const LOWER_NAMES_MAX = 500;

/** Throws if it is no name of a header. */
function lowerName(name: string): string {
  const known = lowerNames.get(name);
  if (known !== undefined) return known;
  if (!token.test(name)) throw new Error(`invalid header name: ${JSON.stringify(name)}`);
  const lower = name.toLowerCase();
  if (ours.has(lower)) throw new Error(`the header ${name} cannot be set`);
  if (lowerNames.size < LOWER_NAMES_MAX) lowerNames.set(name, lower);
  return lower;
}

/** Headers of framing and connection management, which this transport sets itself. */
const ours: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
]);
/** Methods that expect a body: without one, `content-length: 0` is sent. */
const withBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Throws if a header, the method or the path is not valid HTTP. `host`: the Host header, unless the request has its own. */
export function requestText({ method, path, headers, body }: UpstreamRequest, host: string): string {
  if (!token.test(method)) throw new Error(`invalid method: ${method}`);
  if (!path.startsWith('/') || notInPath.test(path)) throw new Error('invalid path');
  let ownHost = host;
  let lines = '';
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    const lower = lowerName(name);
    if (notInValue.test(value)) throw new Error(`invalid value of the header ${name}`);
    if (lower === 'host') ownHost = value;
    else lines += `${name}: ${value}\r\n`;
  }
  const length = body === null ? (withBody.has(method) ? 0 : -1) : bodyLength(body);
  const lengthLine = length < 0 ? '' : `content-length: ${length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: ${ownHost}\r\nconnection: keep-alive\r\n${lines}${lengthLine}\r\n`;
}

function bodyLength(body: Uint8Array | readonly Uint8Array[]): number {
  return body instanceof Uint8Array ? body.byteLength : body.reduce((length, piece) => length + piece.byteLength, 0);
}
