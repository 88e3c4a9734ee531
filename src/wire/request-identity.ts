/** When two requests ask for the same: one text for all the ways in which the same can be written. */
import { asBuffer } from './bytes.ts';
import { isNull, isRecord } from './json-values.ts';
import type { RequestBody } from './request-body.ts';

/** Numbers of so many digits are told apart by their text: two of them may be one JavaScript number. */
const LONG_NUMBER = /\d{16}/;

/** Larger bodies are compared as they are written: parsing and sorting them would hold up everybody else. */
const PARSED_BYTES_MAX = 256 * 1024;
const PARSED_VALUES_MAX = 10_000;

/**
 * What a request is compared by: a text in which order, white space and ways to write a value make no difference. Of a large body:
 * its members in the order of their names, each as it is written, in pieces. `ignored`: members that do not change what is answered: the
 * form (a cached response is given in either), who is served, how fast, and what the provider keeps of it.
 */
export function identityParts(body: RequestBody, ignored: ReadonlySet<string>): string | readonly (string | Uint8Array)[] {
  const isSmall = body.bytes.byteLength <= PARSED_BYTES_MAX && body.values <= PARSED_VALUES_MAX;
  return isSmall ? normalForm(body, ignored) : writtenForm(body, ignored);
}

function writtenForm({ bytes, members }: RequestBody, ignored: ReadonlySet<string>): (string | Uint8Array)[] {
  const parts: (string | Uint8Array)[] = ['written'];
  // A stable sort: of a repeated name the order counts.
  for (const member of members.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))) {
    if (ignored.has(member.name) || isNull(bytes, member)) continue;
    parts.push(`${JSON.stringify(member.name)}:${member.end - member.start}:`, bytes.subarray(member.start, member.end));
  }
  return parts;
}

/** The body without order, white space and ways to write a value; `body` has been decoded before. */
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
