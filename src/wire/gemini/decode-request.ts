import { isRecord } from '../../core/json.ts';
import { decodeScanned, outputBoundOf } from '../decode-request.ts';
import type { DecodedRequest, PathFacts } from '../dialect.ts';
import type { JsonFault, JsonObjectScan } from '../json-scan.ts';
import { kindOf, parseMember } from '../json-values.ts';
import { numberIn } from '../json-exact.ts';
import { textIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { BodyMember } from '../request-body.ts';
import { camelCased } from './names.ts';

/** Larger values are left for the provider to validate. */
const CONFIG_BYTES_MAX = 64 * 1024;

/** Reads the members of a generateContent request that the proxy acts on; model and streaming are given in the path. */
export function decodeGeminiRequest(bytes: Uint8Array, scan: JsonObjectScan | JsonFault, path: PathFacts): DecodedRequest {
  const decoded = decodeScanned('chat', bytes, scan, { needsMessages: false, model: path.model });
  if (!decoded.ok || !scan.ok) return decoded;
  const find = (...names: string[]): BodyMember | undefined => scan.members.findLast(({ name }) => names.includes(name));
  const contents = find('contents');
  if (contents === undefined || kindOf(bytes, contents) === 'other')
    return { ok: false, message: "'contents' is required and must be a list.", param: 'contents' };
  const config = configOf(bytes, find('generationConfig', 'generation_config'));
  const choices = Math.max(1, countIn(config['candidateCount']) ?? 1);
  const facts = {
    ...decoded.facts,
    stream: path.stream,
    wantsUsage: path.stream,
    choices,
    outputBound: outputBoundOf(countIn(config['maxOutputTokens']), choices),
    usesReasoning: isRecord(config['thinkingConfig']) && numberIn(camelCased(config['thinkingConfig'])['thinkingBudget']) !== 0,
    hasResponseFormat: textIn(config['responseMimeType']).includes('json'),
  };
  return { ...decoded, facts };
}

function countIn(value: unknown): number | null {
  const count = numberIn(value);
  return count !== null && Number.isSafeInteger(count) && count >= 0 ? count : null;
}

function configOf(bytes: Uint8Array, member: BodyMember | undefined): Fields {
  if (member === undefined || member.end - member.start > CONFIG_BYTES_MAX) return {};
  const value = kindOf(bytes, member) === 'object' ? parseMember(bytes, member) : null;
  return isRecord(value) ? camelCased(value) : {};
}
