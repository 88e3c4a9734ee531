/**
 * Answers written past node's HTTP. Node frames what it sends by itself and never breaks off inside its own framing; a
 * provider's proxy does. Here an answer becomes a program of bytes, head and chunk marks included, that can be cut or
 * split at any of them (RFC 9112, 7.1).
 */
import { STATUS_CODES } from 'node:http';
import type { Answer, Step, Wire } from './answer.ts';

/** The answer's program with its head and framing as sends of their own. The first send is the head. */
export function toWireSteps(answer: Answer, { framing, edit }: Wire): Step[] {
  const steps = answer.steps.map((step): Step => {
    if (step.do === 'head') return { do: 'send', part: 'body', bytes: headOf(answer, framing) };
    if (framing === 'plain') return step;
    return step.do === 'send' || step.do === 'repeat' ? { ...step, bytes: toChunk(step.bytes) } : step;
  });
  if (framing === 'chunked') steps.push({ do: 'send', part: 'done', bytes: '0\r\n\r\n' });
  return edit === undefined ? steps : edit(steps);
}

function headOf({ status, headers }: Answer, framing: Wire['framing']): string {
  const all: Record<string, string> = { ...headers, connection: headers['connection'] ?? 'close' };
  if (framing === 'chunked') all['transfer-encoding'] = 'chunked';
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`;
}

/** One chunk. An empty one would end the body, so it is none. */
export function toChunk(bytes: string | Buffer, extension = ''): Buffer {
  const data = Buffer.from(bytes as string);
  return data.length === 0 ? data : Buffer.concat([Buffer.from(`${data.length.toString(16)}${extension}\r\n`), data, Buffer.from('\r\n')]);
}
