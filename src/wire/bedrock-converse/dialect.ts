/**
 * Bedrock's Converse API, for targets only. Requests of every dialect are converted to it; its responses are rewritten as Messages
 * responses and read as such.
 */
import { Buffer } from 'node:buffer';
import { anthropicMessages } from '../anthropic-messages/dialect.ts';
import { readMessageResponse } from '../anthropic-messages/read-response.ts';
import { asBuffer } from '../bytes.ts';
import { decodeScanned } from '../decode-request.ts';
import type { Dialect, ReadResponse } from '../dialect.ts';
import { parseExact } from '../json-exact.ts';
import { createConverseStreamReader } from './stream-reader.ts';
import { toMessage } from './to-messages.ts';

export const bedrockConverse: Dialect = {
  ...anthropicMessages,
  name: 'bedrock-converse',
  request: {
    ...anthropicMessages.request,
    decode: (_operation, bytes, scan, { model, stream }) => {
      const decoded = decodeScanned('chat', bytes, scan, { model });
      return decoded.ok ? { ...decoded, facts: { ...decoded.facts, stream, wantsUsage: stream } } : decoded;
    },
  },
  response: { ...anthropicMessages.response, read: (_operation, body) => readConverse(body) },
  stream: { ...anthropicMessages.stream, watch: ({ maxEventSize }) => createConverseStreamReader(maxEventSize) },
};

function readConverse(body: Uint8Array): ReadResponse {
  const message = rewritten(body);
  const read = readMessageResponse(message, null);
  return read.ok ? { ...read, converted: message } : read;
}

/** The body as a message; unchanged if it is not a response. */
function rewritten(body: Uint8Array): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(toMessage(parseExact(asBuffer(body).toString()))));
  } catch {
    return body;
  }
}
