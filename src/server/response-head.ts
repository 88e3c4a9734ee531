/** Serializes the head of a response. */
import type { HeaderPairs } from '../core/headers.ts';
import { STATUS_TEXTS } from './status-texts.ts';
import { systemClock } from '../gateway/system-clock.ts';

const token = /^[\w!#$%&'*+.^`|~-]+$/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

/** How the body is delimited: by content-length or without a body, by chunks, or by the end of the connection. */
export type BodyEnd = 'length' | 'chunked' | 'close';

/** Names found valid: few recur in every response. */
const validNames = new Set<string>();
/** More are not kept. */
const VALID_NAMES_MAX = 500;

function isName(name: string): boolean {
  if (validNames.has(name)) return true;
  const isValid = token.test(name);
  if (isValid && validNames.size < VALID_NAMES_MAX) validNames.add(name);
  return isValid;
}

const statusLines = new Map<number, string>();

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) statusLines.set(status, (line = `HTTP/1.1 ${status} ${STATUS_TEXTS[status] ?? 'unknown'}\r\n`));
  return line;
}

let dateSecond = -1;
let dateLine = '';

/** Updated once per second. */
function currentDateLine(): string {
  const ms = systemClock.epochMs();
  const second = Math.floor(ms / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateLine = `Date: ${new Date(ms).toUTCString()}\r\n`;
  }
  return dateLine;
}

export interface HeadEnd {
  readonly body: BodyEnd;
  /** The connection stays open after this response. */
  readonly keepsAlive: boolean;
  readonly keepAliveSeconds: number;
}

/** Omits headers with invalid characters. */
export function headText(status: number, headers: HeaderPairs, { body, keepsAlive, keepAliveSeconds }: HeadEnd): string {
  let text = statusLine(status);
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1] ?? '';
    if (isName(name) && !notInValue.test(value)) text += `${name}: ${value}\r\n`;
  }
  text += currentDateLine();
  text += keepsAlive ? `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n` : 'connection: close\r\n';
  return body === 'chunked' ? `${text}Transfer-Encoding: chunked\r\n\r\n` : `${text}\r\n`;
}

/** Text before and after pieces of a body (latin1), which have `bytes` bytes, in one buffer. */
export function joined(before: string, pieces: readonly Uint8Array[], bytes: number, after: string): Buffer {
  const buffer = Buffer.allocUnsafe(before.length + bytes + after.length);
  let at = buffer.write(before, 0, 'latin1');
  for (const piece of pieces) {
    buffer.set(piece, at);
    at += piece.length;
  }
  buffer.write(after, at, 'latin1');
  return buffer;
}
