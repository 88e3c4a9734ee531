import { isRecord } from '../../core/json.ts';
import type { ResponseFormat } from '../dialect.ts';
import { parseMember } from '../json-values.ts';
import type { RequestBody } from '../request-body.ts';

/** Larger formats are left for the provider to validate. */
const FORMAT_BYTES_MAX = 512 * 1024;

/** Reads `output_config.format`, or the older `output_format`. */
export function readMessagesFormat(body: RequestBody): ResponseFormat | null {
  for (const name of ['output_config', 'output_format']) {
    const member = body.members.findLast((candidate) => candidate.name === name);
    if (member === undefined || member.end - member.start > FORMAT_BYTES_MAX) continue;
    const value = parseMember(body.bytes, member);
    const format = isRecord(value) && name === 'output_config' ? value['format'] : value;
    if (!isRecord(format) || format['type'] !== 'json_schema' || !isRecord(format['schema'])) continue;
    return { schema: format['schema'], schemaText: JSON.stringify(format['schema']) };
  }
  return null;
}
