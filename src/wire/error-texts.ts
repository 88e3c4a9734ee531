import { isRecord } from './json-values.ts';

const BYTES_MAX = 65_536;
const DEPTH_MAX = 6;
const TEXTS_MAX = 200;

/** Members of an error in which servers send a part of the request back. */
const ECHOES: ReadonlySet<string> = new Set(['input', 'ctx', 'request', 'body', 'payload', 'failed_generation', 'url']);

/** All that an error body says, in one text: its messages, codes and places, without what it quotes of the request in members of their own. */
export function errorTexts(body: Uint8Array): string {
  const text = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, BYTES_MAX)).toString();
  const found: string[] = [];
  try {
    collect(JSON.parse(text) as unknown, found, DEPTH_MAX);
  } catch {
    return text;
  }
  return found.join('\n');
}

function collect(value: unknown, to: string[], depth: number): void {
  if (depth === 0 || to.length >= TEXTS_MAX) return;
  if (typeof value === 'string') to.push(value);
  else if (Array.isArray(value)) for (const item of value) collect(item, to, depth - 1);
  else if (isRecord(value)) for (const [name, member] of Object.entries(value)) if (!ECHOES.has(name)) collect(member, to, depth - 1);
}
