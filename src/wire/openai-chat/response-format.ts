import { isRecord } from '../../core/json.ts';
import type { ResponseFormat } from '../dialect.ts';
import { parseMember } from '../json-values.ts';
import type { RequestBody } from '../request-body.ts';

/** In bytes. A longer format is left to the provider and not checked. */
const FORMAT_BYTES_MAX = 512 * 1024;

/** Reads `response_format`: `json_object`, `json_schema`, and the schema beside `json_object` that some providers accept; null: free text. */
export function readFormat(body: RequestBody): ResponseFormat | null {
  const member = body.members.findLast(({ name }) => name === 'response_format');
  if (member === undefined) return null;
  if (member.end - member.start > FORMAT_BYTES_MAX) return null;
  const format = parseMember(body.bytes, member);
  if (!isRecord(format)) return null;
  const isJson = format['type'] === 'json_object';
  const schema = schemaOf(format);
  if (!isJson && (format['type'] !== 'json_schema' || schema === null)) return null;
  return { schema, schemaText: schema === null ? '' : JSON.stringify(schema) };
}

/** Null: none. */
function schemaOf(format: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  const schema = isRecord(format['json_schema']) ? format['json_schema']['schema'] : format['schema'];
  return isRecord(schema) ? schema : null;
}
