/** Request members that a Responses response repeats. */
import { asBuffer } from '../bytes.ts';
import { parseExact } from '../json-exact.ts';
import type { Fields } from '../loose-values.ts';
import type { RequestBody } from '../request-body.ts';

/** Each with the API's default for requests that omit it. */
const DEFAULTS: Fields = {
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  metadata: {},
  parallel_tool_calls: true,
  previous_response_id: null,
  prompt_cache_key: null,
  reasoning: { effort: null, summary: null },
  safety_identifier: null,
  service_tier: 'default',
  store: true,
  temperature: 1,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  top_logprobs: 0,
  top_p: 1,
  truncation: 'disabled',
  user: null,
};

/** `text`: a request body that passed decoding. */
export function echoOf(text: string): Fields {
  const request = parseExact(text) as Fields;
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, request[name] ?? value]));
}

/** The most bytes of JSON for one UTF-16 unit: an escape. */
const UNIT_BYTES_MAX = 6;

/**
 * The same from a scanned body, of which only these members are parsed. `lengthMax`: the most JSON of all of them, in UTF-16 units; longer
 * members are omitted.
 */
export function boundedEcho({ bytes, members }: Pick<RequestBody, 'bytes' | 'members'>, lengthMax: number): Fields {
  const buffer = asBuffer(bytes);
  let left = lengthMax;
  const valueOf = (name: string): unknown => {
    const member = members.findLast((one) => one.name === name);
    if (member === undefined || member.end - member.start > UNIT_BYTES_MAX * left) return undefined;
    const value = parseExact(buffer.toString('utf8', member.start, member.end));
    const { length } = JSON.stringify(value);
    if (length > left) return undefined;
    left -= length;
    return value;
  };
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, valueOf(name) ?? value]));
}
