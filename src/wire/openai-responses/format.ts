import { isRecord } from '../../core/json.ts';
import type { ResponseFormat } from '../dialect.ts';
import { kindOf, parseMember } from '../json-values.ts';
import type { RequestBody } from '../request-body.ts';

/** Larger formats are left for the provider to validate. */
const FORMAT_BYTES_MAX = 512 * 1024;

/** Reads `text.format`. */
export function readResponsesFormat({ bytes, members }: RequestBody): ResponseFormat | null {
  const member = members.findLast(({ name }) => name === 'text');
  if (member === undefined || member.end - member.start > FORMAT_BYTES_MAX || kindOf(bytes, member) !== 'object') return null;
  const value = parseMember(bytes, member);
  const format = isRecord(value) ? value['format'] : null;
  if (!isRecord(format)) return null;
  if (format['type'] === 'json_object') return { schema: null, schemaText: '' };
  if (format['type'] !== 'json_schema' || !isRecord(format['schema'])) return null;
  return { schema: format['schema'], schemaText: JSON.stringify(format['schema']) };
}
