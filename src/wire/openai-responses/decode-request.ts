import { isRecord } from '../../core/json.ts';
import { asBuffer } from '../bytes.ts';
import { decodeScanned, outputBoundOf } from '../decode-request.ts';
import type { DecodedRequest } from '../dialect.ts';
import type { JsonFault, JsonObjectScan } from '../json-scan.ts';
import { kindOf, parseMember, readCount } from '../json-values.ts';
import type { BodyMember } from '../request-body.ts';

const QUOTE = 0x22;
/** Larger values are left for the provider to validate. */
const SMALL_BYTES_MAX = 64 * 1024;
/** A request needs one of these; the history may be stored at the provider. */
const INPUTS = ['input', 'previous_response_id', 'conversation', 'prompt'] as const;

/** Reads the members of a Responses request that the proxy acts on. Members it shares with a chat request have the same meaning. */
export function decodeResponsesRequest(bytes: Uint8Array, scan: JsonObjectScan | JsonFault): DecodedRequest {
  const decoded = decodeScanned('chat', bytes, scan, { needsMessages: false });
  if (!decoded.ok || !scan.ok) return decoded;
  const find = (name: string): BodyMember | undefined => scan.members.find((member) => member.name === name);
  const input = find('input');
  if (input === undefined && INPUTS.every((name) => find(name) === undefined))
    return { ok: false, message: "Missing required parameter: 'input'.", param: 'input' };
  if (input !== undefined && bytes[input.start] !== QUOTE && kindOf(bytes, input) !== 'array')
    return { ok: false, message: "'input' must be a string or an array.", param: 'input' };
  if (scan.members.filter(({ name }) => name === 'max_output_tokens').length > 1)
    return { ok: false, message: "'max_output_tokens' is given twice.", param: 'max_output_tokens' };
  const limit = find('max_output_tokens');
  const format = find('text');
  const facts = {
    ...decoded.facts,
    wantsUsage: decoded.facts.stream,
    choices: 1,
    outputBound: limit === undefined ? null : outputBoundOf(readCount(bytes, limit)),
    hasResponseFormat: format !== undefined && hasResponseFormat(bytes, format),
  };
  const opaque = decoded.body.opaque === true || (input !== undefined && hasReasoningItems(bytes, input));
  return { ...decoded, facts, body: { ...decoded.body, opaque } };
}

/** Reasoning items may carry nothing but an id; the scan detects opaque values by member name and misses those. */
function hasReasoningItems(bytes: Uint8Array, { start, end }: BodyMember): boolean {
  return bytes[start] !== QUOTE && asBuffer(bytes).subarray(start, end).includes('"reasoning"');
}

function hasResponseFormat(bytes: Uint8Array, member: BodyMember): boolean {
  if (member.end - member.start > SMALL_BYTES_MAX) return true;
  const value = kindOf(bytes, member) === 'object' ? parseMember(bytes, member) : null;
  const format = isRecord(value) ? value['format'] : null;
  return isRecord(format) && format['type'] !== 'text';
}
