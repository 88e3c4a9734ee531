/**
 * `application/vnd.amazon.eventstream`: messages of binary headers and a payload, with a checksum of the lengths and
 * one of the whole message.
 */
import { crc32 } from 'node:zlib';
import type { EventText, Framing } from '../framings.ts';

const HEADERS = { 'content-type': 'application/vnd.amazon.eventstream' };

/** The prelude (lengths and their checksum). The message ends with another checksum. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** Header type of strings. */
const STRING = 7;

/** Encodes one message. */
export function toMessage(headers: Readonly<Record<string, string>>, payload: string): Buffer {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => toHeader(name, value)));
  const body = Buffer.from(payload);
  const message = Buffer.alloc(PRELUDE_BYTES + head.length + body.length + CHECKSUM_BYTES);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(head.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  head.copy(message, PRELUDE_BYTES);
  body.copy(message, PRELUDE_BYTES + head.length);
  const end = message.length - CHECKSUM_BYTES;
  message.writeUInt32BE(crc32(message.subarray(0, end)), end);
  return message;
}

function toHeader(name: string, value: string): Buffer {
  const text = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([STRING]), length, text]);
}

function typed(type: string, name: string): Record<string, string> {
  return { [`:${type}-type`]: name, ':content-type': 'application/json', ':message-type': type };
}

function exception({ name = 'internalServerException', data }: EventText): Buffer {
  return toMessage(typed('exception', name), data);
}

/** The named events of ConverseStream. */
export const CONVERSE_STREAM: Framing = {
  name: 'aws-event-stream',
  headers: HEADERS,
  frame: (event) => (event.isException === true ? exception(event) : toMessage(typed('event', event.name ?? ''), event.data)),
  end: '',
};

/** The events of a model's native stream, each in a chunk of InvokeModelWithResponseStream. */
export const INVOKE_STREAM: Framing = {
  name: 'aws-event-stream',
  headers: { ...HEADERS, 'x-amzn-bedrock-content-type': 'application/json' },
  frame(event) {
    if (event.isException === true) return exception(event);
    return toMessage(typed('event', 'chunk'), JSON.stringify({ bytes: Buffer.from(event.data).toString('base64'), p: 'abcdefgh' }));
  },
  end: '',
};
