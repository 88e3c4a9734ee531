/** Decides whether two requests are equal: all ways to write the same request have the same text. */
import { isRecord } from '../core/json.ts';
import { asBuffer } from './bytes.ts';
import { isNull } from './json-values.ts';
import type { RequestBody } from './request-body.ts';

/** Numbers with this many digits are compared as text: two of them may be the same JavaScript number. */
const LONG_NUMBER = /\d{16}/;

/** Larger bodies are compared as written: parsing and sorting them would block the event loop. */
const PARSED_BYTES_MAX = 256 * 1024;
const PARSED_VALUES_MAX = 10_000;

/**
 * The text that identifies a request, independent of order, white space and the way values are written. For a large body: its members in
 * the order of their names, each as written, in pieces. `ignored`: members that do not change the response: its form (a cached response
 * is converted to either), the user, the speed, and what the provider stores.
 */
export function identityParts(body: RequestBody, ignored: ReadonlySet<string>): string | readonly (string | Uint8Array)[] {
  const isSmall = body.bytes.byteLength <= PARSED_BYTES_MAX && body.values <= PARSED_VALUES_MAX;
  return isSmall ? normalForm(body, ignored) : writtenForm(body, ignored);
}

function writtenForm({ bytes, members }: RequestBody, ignored: ReadonlySet<string>): (string | Uint8Array)[] {
  const parts: (string | Uint8Array)[] = ['written'];
  // The sort is stable: the order of a repeated name matters.
  for (const member of members.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
    if (ignored.has(member.name) || isNull(bytes, member)) continue;
    parts.push(`${JSON.stringify(member.name)}:${member.end - member.start}:`, bytes.subarray(member.start, member.end));
  }
  return parts;
}

/** A decoded body, independent of order, white space and the way values are written. */
export function normalForm(body: RequestBody, ignored: ReadonlySet<string>): string {
  const text = asBuffer(body.bytes).toString('utf8');
  const value: unknown = LONG_NUMBER.test(text) ? JSON.parse(text, keepLongNumber) : JSON.parse(text);
  if (!isRecord(value)) return text;
  const names = Object.keys(value).filter((name) => !ignored.has(name) && value[name] !== null);
  return writeMembers(value, names.sort());
}

function keepLongNumber(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return Math.abs(value) > Number.MAX_SAFE_INTEGER ? new LongNumber(context.source) : value;
}

class LongNumber {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

function write(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(write).join()}]`;
  if (value instanceof LongNumber) return value.source;
  return isRecord(value) ? writeMembers(value, Object.keys(value).sort()) : String(value);
}

function writeMembers(value: Record<string, unknown>, names: readonly string[]): string {
  return `{${names.map((name) => `${JSON.stringify(name)}:${write(value[name])}`).join()}}`;
}
