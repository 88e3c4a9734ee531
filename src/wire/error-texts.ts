import { isRecord } from '../core/json.ts';

const BYTES_MAX = 65_536;
const DEPTH_MAX = 6;
const TEXTS_MAX = 200;

/** Fields of an error in which servers echo parts of the request. */
const ECHOES: ReadonlySet<string> = new Set(['input', 'ctx', 'request', 'body', 'payload', 'failed_generation', 'url']);

/** All texts of an error body, one per line: messages, codes and paths, but not the fields that echo the request. */
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
