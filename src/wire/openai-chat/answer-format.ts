import { asBuffer } from '../bytes.ts';
import { isRecord, parseMember } from '../json-values.ts';
import type { RequestBody } from '../request-body.ts';

/** In which form a request wants its answer. */
export interface AnswerFormat {
  /** What the answer must fit; null: any JSON object will do. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  /** The whole wish as the caller wrote it. */
  readonly written: string;
}

/** A longer one is the provider's matter alone. */
const FORMAT_BYTES_MAX = 512 * 1024;

/** Reads `response_format`: `json_object`, `json_schema`, and the schema beside `json_object` that some providers take; null: any text will do. */
export function readFormat(body: RequestBody): AnswerFormat | null {
  const member = body.members.findLast(({ name }) => name === 'response_format');
  if (member === undefined) return null;
  if (member.end - member.start > FORMAT_BYTES_MAX) return null;
  const format = parseMember(body.bytes, member);
  if (!isRecord(format)) return null;
  const isJson = format['type'] === 'json_object';
  const schema = schemaOf(format);
  if (!isJson && (format['type'] !== 'json_schema' || schema === null)) return null;
  return { schema, written: asBuffer(body.bytes).toString('utf8', member.start, member.end) };
}

/** The schema in a `response_format`; null: there is none. */
export function schemaOf(format: unknown): Readonly<Record<string, unknown>> | null {
  if (!isRecord(format)) return null;
  const schema = isRecord(format['json_schema']) ? format['json_schema']['schema'] : format['schema'];
  return isRecord(schema) ? schema : null;
}

/**
 * The text inside a code fence that encloses a whole text, as models like to wrap their JSON; null: there is none.
 * White space around it is left out.
 */
export function insideFence(text: string): string | null {
  const said = text.trim();
  if (!said.startsWith('```') || !said.endsWith('```') || said.length < 7) return null;
  const firstLine = said.indexOf('\n');
  if (firstLine < 0 || !/^```\w{0,20}[ \t]*\r?$/.test(said.slice(0, firstLine))) return null;
  const inside = said.slice(firstLine + 1, -3).trim();
  return inside.includes('\n```') ? null : inside;
}
