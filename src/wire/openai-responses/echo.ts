/** Request members that a Responses response repeats. */
import { parseExact } from '../json-exact.ts';
import type { Fields } from '../loose-values.ts';

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
