import type { RequestFacts } from '../../core/request.ts';
import type { DecodedRequest } from '../dialect.ts';
import type { JsonFault, JsonObjectScan } from '../json-scan.ts';
import { isRecord, kindOf, parseMember, readCount } from '../json-values.ts';
import { textOrNull } from '../loose-values.ts';
import type { BodyMember } from '../request-body.ts';
import { decodeScanned, outputBoundOf } from '../decode-request.ts';

/** A larger one is the provider's matter alone. */
const SMALL_BYTES_MAX = 64 * 1024;

/** What we act on in a Messages request. The members that it has in common with a chat request mean the same. */
export function decodeMessages(bytes: Uint8Array, scan: JsonObjectScan | JsonFault): DecodedRequest {
  const decoded = decodeScanned('chat', bytes, scan);
  if (!decoded.ok || !scan.ok) return decoded;
  const find = (name: string): BodyMember | undefined => scan.members.find((member) => member.name === name);
  const bound = find('max_tokens');
  if (bound !== undefined && readCount(bytes, bound) === null) {
    return { ok: false, message: "'max_tokens' must be a whole number of 0 or more.", param: 'max_tokens' };
  }
  const config = find('output_config');
  const facts: RequestFacts = {
    ...decoded.facts,
    wantsUsage: decoded.facts.stream,
    choices: 1,
    outputBound: bound === undefined ? null : outputBoundOf(readCount(bytes, bound)),
    hasResponseFormat: find('output_format') !== undefined || (config !== undefined && isRecord(smallValue(bytes, config)?.['format'])),
    cacheKey: sessionOf(bytes, find('metadata')),
  };
  return { ...decoded, facts };
}

/** Agents put their session into `metadata.user_id`: as JSON, or behind `_session_` in earlier versions. Anything else there is a person. */
function sessionOf(bytes: Uint8Array, metadata: BodyMember | undefined): string | null {
  const userId = metadata === undefined ? null : textOrNull(smallValue(bytes, metadata)?.['user_id']);
  if (userId === null) return null;
  if (!userId.startsWith('{')) return /_session_([\w-]{8,100})$/.exec(userId)?.[1] ?? null;
  try {
    const value: unknown = JSON.parse(userId);
    return isRecord(value) ? textOrNull(value['session_id']) : null;
  } catch {
    return null;
  }
}

export function smallValue(bytes: Uint8Array, member: BodyMember): Record<string, unknown> | null {
  if (kindOf(bytes, member) !== 'object' || member.end - member.start > SMALL_BYTES_MAX) return null;
  return parseMember(bytes, member) as Record<string, unknown>;
}
