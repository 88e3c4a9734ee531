import { isRecord } from '../../core/json.ts';
import type { ResponseFormat } from '../dialect.ts';
import { kindOf, parseMember } from '../json-values.ts';
import { textIn } from '../loose-values.ts';
import type { RequestBody } from '../request-body.ts';
import { camelCased } from './names.ts';
import { toJsonSchema } from './schema.ts';

/** Larger formats are left for the provider to validate. */
const FORMAT_BYTES_MAX = 512 * 1024;

/** Reads `responseMimeType` and the schemas of `generationConfig`. */
export function readGeminiFormat({ bytes, members }: RequestBody): ResponseFormat | null {
  const member = members.findLast(({ name }) => name === 'generationConfig' || name === 'generation_config');
  if (member === undefined || member.end - member.start > FORMAT_BYTES_MAX || kindOf(bytes, member) !== 'object') return null;
  const value = parseMember(bytes, member);
  const config = isRecord(value) ? camelCased(value) : {};
  if (!textIn(config['responseMimeType']).includes('json')) return null;
  const { responseJsonSchema, responseSchema } = config;
  const schema = isRecord(responseJsonSchema) ? responseJsonSchema : isRecord(responseSchema) ? toJsonSchema(responseSchema) : null;
  return isRecord(schema) ? { schema, schemaText: JSON.stringify(schema) } : { schema: null, schemaText: '' };
}
