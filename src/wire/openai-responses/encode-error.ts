import { Buffer } from 'node:buffer';
import type { ErrorDetails } from '../dialect.ts';

/**
 * The error as the last events of a stream. The official SDK throws on an `error` event. Codex reads `response.failed`; it treats a stream
 * without a terminal event as a lost connection and reconnects five times.
 */
export function encodeErrorEvent({ message, type, param, code }: ErrorDetails, requestId: string): Uint8Array {
  const error = { type: type ?? 'upstream_error', code: code ?? type ?? 'server_error', message, param };
  const failed = {
    type: 'response.failed',
    response: {
      id: `resp_${requestId}`,
      object: 'response',
      status: 'failed',
      error: { code: error.code, message },
      incomplete_details: null,
      output: [],
      usage: null,
    },
  };
  const { code: word } = error;
  return Buffer.from(eventText('error', { type: 'error', code: word, message, param, error }) + eventText('response.failed', failed));
}

function eventText(name: string, event: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(event)}\n\n`;
}
