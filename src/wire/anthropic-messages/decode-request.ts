import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { RequestFacts } from '../../core/request.ts';
import type { DecodedRequest } from '../dialect.ts';
import type { JsonFault, JsonObjectScan } from '../json-scan.ts';
import { kindOf, parseMember, readCount } from '../json-values.ts';
import { textOrNull } from '../loose-values.ts';
import type { BodyMember } from '../request-body.ts';
import { decodeScanned, outputBoundOf } from '../decode-request.ts';

/** Larger values are left for the provider to validate. */
const SMALL_BYTES_MAX = 64 * 1024;

/** Reads the members of a Messages request that the proxy acts on. Members it shares with a chat request have the same meaning. */
export function decodeMessages(bytes: Uint8Array, scan: JsonObjectScan | JsonFault): DecodedRequest {
  const decoded = decodeScanned('chat', bytes, scan);
  if (!decoded.ok || !scan.ok) return decoded;
  const find = (name: string): BodyMember | undefined => scan.members.find((member) => member.name === name);
  const limit = find('max_tokens');
  if (limit !== undefined && readCount(bytes, limit) === null) {
    return { ok: false, message: "'max_tokens' must be a whole number of 0 or more.", param: 'max_tokens' };
  }
  const config = find('output_config');
  const facts: RequestFacts = {
    ...decoded.facts,
    wantsUsage: decoded.facts.stream,
    choices: 1,
    outputBound: limit === undefined ? null : outputBoundOf(readCount(bytes, limit)),
    hasResponseFormat: find('output_format') !== undefined || (config !== undefined && isRecord(smallValue(bytes, config)?.['format'])),
    cacheKey: sessionOf(bytes, find('metadata')),
  };
  return { ...decoded, facts };
}

/** Agents put a session id into `metadata.user_id`, as JSON or, in earlier versions, after `_session_`. Any other value is a user id. */
function sessionOf(bytes: Uint8Array, metadata: BodyMember | undefined): string | null {
  const userId = metadata === undefined ? null : textOrNull(smallValue(bytes, metadata)?.['user_id']);
  if (userId === null) return null;
  if (!userId.startsWith('{')) return /_session_([\w-]{8,100})$/.exec(userId)?.[1] ?? null;
  const value = parseOrUndefined(userId);
  return isRecord(value) ? textOrNull(value['session_id']) : null;
}

export function smallValue(bytes: Uint8Array, member: BodyMember): Record<string, unknown> | null {
  if (kindOf(bytes, member) !== 'object' || member.end - member.start > SMALL_BYTES_MAX) return null;
  return parseMember(bytes, member) as Record<string, unknown>;
}
