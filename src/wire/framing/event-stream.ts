/**
 * `application/vnd.amazon.eventstream`: messages of binary headers and a payload. A message is its length, the length of its headers and a
 * checksum of both, 32 bits each; headers; payload; and a checksum of everything before. A message that fails a checksum, or breaks
 * off, is never skipped: the rest of the stream can't be trusted.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { Failure } from '../../core/facts.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { asBuffer } from '../bytes.ts';
import { createFailure, failureFromErrorValue } from '../failure.ts';
import type { Framed, Framing } from './framing.ts';

export const EVENT_STREAM_TYPE = 'application/vnd.amazon.eventstream';

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const OVERHEAD_BYTES = PRELUDE_BYTES + CHECKSUM_BYTES;

/** Size of a header's value by its type; -1: preceded by a two-byte length. */
const VALUE_BYTES = [0, 0, 1, 2, 4, 8, -1, -1, 8, 16] as const;
const STRING_TYPE = 7;

const NOTHING: Framed = { events: null, failure: null };

export class EventStreamFraming implements Framing {
  readonly #maxEventSize: number;
  /** The beginning of an incomplete message. */
  #parts: Buffer[] = [];
  #bytes = 0;
  /** Bytes needed before the next message can be read further. */
  #needed = PRELUDE_BYTES;
  #isBroken = false;

  constructor(maxEventSize: number) {
    this.#maxEventSize = maxEventSize;
  }

  push(chunk: Uint8Array): Framed {
    if (this.#isBroken || chunk.length === 0) return NOTHING;
    this.#parts.push(asBuffer(chunk));
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return NOTHING;
    let rest = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    const events: Buffer[] = [];
    let failure: Failure | null = null;
    while (failure === null) {
      const read = this.#read(rest);
      if (typeof read === 'number') {
        this.#needed = read;
        break;
      }
      rest = rest.subarray(read.bytes);
      if (read.event !== null) events.push(read.event);
      failure = read.failure;
    }
    this.#isBroken = failure !== null;
    this.#parts = rest.length === 0 || this.#isBroken ? [] : [rest];
    this.#bytes = rest.length;
    return { events: events.length === 0 ? null : events.length === 1 ? events[0]! : Buffer.concat(events), failure };
  }

  /** The first message, or the number of bytes needed to read further. */
  #read(from: Buffer): Message | number {
    if (from.length < PRELUDE_BYTES) return PRELUDE_BYTES;
    if (crc32(from.subarray(0, 8)) !== from.readUInt32BE(8)) return broken('the prelude of a message fails its checksum');
    const length = from.readUInt32BE(0);
    const headersLength = from.readUInt32BE(4);
    if (length < OVERHEAD_BYTES || headersLength > length - OVERHEAD_BYTES) return broken('the lengths of a message are inconsistent');
    if (length > this.#maxEventSize) return broken(`an event of the stream is larger than ${this.#maxEventSize} bytes`);
    if (from.length < length) return length;
    const end = length - CHECKSUM_BYTES;
    if (crc32(from.subarray(0, end)) !== from.readUInt32BE(end)) return broken('a message fails its checksum');
    const headers = readHeaders(from.subarray(PRELUDE_BYTES, PRELUDE_BYTES + headersLength));
    if (headers === null) return broken('the headers of a message are malformed');
    return { bytes: length, ...readMessage(headers, from.subarray(PRELUDE_BYTES + headersLength, end)) };
  }
}

interface Outcome {
  readonly event: Buffer | null;
  readonly failure: Failure | null;
}

interface Message extends Outcome {
  readonly bytes: number;
}

function broken(message: string): Message {
  return { bytes: 0, event: null, failure: createFailure('malformed', 'answer', message) };
}

/** The headers with string values; null: malformed. */
function readHeaders(bytes: Buffer): ReadonlyMap<string, string> | null {
  const found = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + bytes[at]!;
    const type = bytes[nameEnd];
    const size = type === undefined ? undefined : VALUE_BYTES[type];
    if (size === undefined) return null;
    let start = nameEnd + 1;
    if (size === -1 && start + 2 > bytes.length) return null;
    const length = size === -1 ? bytes.readUInt16BE(start) : size;
    if (size === -1) start += 2;
    if (start + length > bytes.length) return null;
    if (type === STRING_TYPE) found.set(bytes.toString('utf8', at + 1, nameEnd), bytes.toString('utf8', start, start + length));
    at = start + length;
  }
  return found;
}

function readMessage(headers: ReadonlyMap<string, string>, payload: Buffer): Outcome {
  switch (headers.get(':message-type')) {
    case 'event':
      return readEvent(headers.get(':event-type') ?? '', payload);
    case 'exception':
      return { event: null, failure: exceptionOf(headers.get(':exception-type') ?? 'exception', parseOrUndefined(payload.toString())) };
    case 'error': {
      const message = headers.get(':error-message') ?? '';
      return { event: null, failure: exceptionOf(headers.get(':error-code') ?? 'error', { message }) };
    }
    default:
      return broken('a message is neither an event nor an error');
  }
}

/** The payload holds the status and message of an exception; its name serves as the code. */
function exceptionOf(name: string, value: unknown): Failure {
  const { message, Message, originalStatusCode } = isRecord(value) ? value : {};
  return failureFromErrorValue({ message: message ?? Message ?? name, code: name, originalStatusCode }, 'answer', null);
}

/** `Buffer` skips what is not base64. */
function isBase64(text: string): boolean {
  const digits = text.replace(/={1,2}$/, '');
  return digits !== '' && digits.length % 4 !== 1 && !/[^A-Za-z0-9+/]/.test(digits);
}

/** A `chunk` holds a model's own event, base64-encoded; events of other operations are not encoded. */
function readEvent(type: string, payload: Buffer): Outcome {
  if (type === 'initial-response') return { event: null, failure: null };
  if (type !== 'chunk') return { event: toSse(type, payload.toString()), failure: null };
  const value = parseOrUndefined(payload.toString());
  const encoded = isRecord(value) ? value['bytes'] : undefined;
  if (typeof encoded !== 'string' || !isBase64(encoded)) return broken('a chunk of the stream holds no event');
  const text = Buffer.from(encoded, 'base64').toString();
  return { event: toSse(/^\s*\{\s*"type"\s*:\s*"(\w{1,64})"/.exec(text)?.[1] ?? '', text), failure: null };
}

/** Line breaks in JSON are only white space. If no name is found, the dialect reads it from the data. */
function toSse(name: string, json: string): Buffer {
  const data = json.replaceAll(/[\r\n]+/g, ' ');
  return Buffer.from(/^\w{1,64}$/.test(name) ? `event: ${name}\ndata: ${data}\n\n` : `data: ${data}\n\n`);
}
