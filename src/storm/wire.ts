/**
 * Responses that bypass Node's HTTP. Node frames its output itself and never breaks off inside the framing, but a
 * provider's proxy can. Here a response becomes a script of bytes, head and chunk encoding included, that can be cut or
 * split at any byte (RFC 9112, 7.1).
 */
import { STATUS_CODES } from 'node:http';
import type { ResponseScript, Step, Wire } from './response-script.ts';

/** The response script with head and framing as separate sends. The first send is the head. */
export function toWireSteps(script: ResponseScript, { framing, edit }: Wire): Step[] {
  const steps = script.steps.map((step): Step => {
    if (step.do === 'head') return { do: 'send', part: 'body', bytes: headOf(script, framing) };
    if (framing === 'raw') return step;
    return step.do === 'send' || step.do === 'repeat' ? { ...step, bytes: toChunk(step.bytes) } : step;
  });
  if (framing === 'chunked') steps.push({ do: 'send', part: 'done', bytes: '0\r\n\r\n' });
  return edit === undefined ? steps : edit(steps);
}

function headOf({ status, headers }: ResponseScript, framing: Wire['framing']): string {
  const all: Record<string, string> = { ...headers, connection: headers['connection'] ?? 'close' };
  if (framing === 'chunked') all['transfer-encoding'] = 'chunked';
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`;
}

/** Encodes a chunk. Empty input yields nothing, because an empty chunk ends the body. */
export function toChunk(bytes: string | Buffer, extension = ''): Buffer {
  const data = Buffer.from(bytes as string);
  return data.length === 0 ? data : Buffer.concat([Buffer.from(`${data.length.toString(16)}${extension}\r\n`), data, Buffer.from('\r\n')]);
}
