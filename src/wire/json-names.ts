import { Buffer } from 'node:buffer';
import { asBuffer } from './bytes.ts';

/**
 * Common member names. They are found by a hash over four of their bytes and compared in place, which avoids a native call for each member
 * of each request: that was a third of the cost of decoding a small body.
 */
const KNOWN_NAMES = `
  model messages stream stream_options temperature top_p max_tokens max_completion_tokens n stop tools tool_choice
  parallel_tool_calls response_format reasoning_effort reasoning thinking enable_thinking chat_template_kwargs verbosity
  seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs user metadata store service_tier modalities
  audio prediction prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier functions function_call
  web_search_options prompt best_of echo suffix input dimensions encoding_format include_usage id object created choices
  usage error data system_fingerprint x_groq extra_body top_k min_p repetition_penalty provider prompt_filter_results
`
  .trim()
  .split(/\s+/);

const SLOTS = 256;
const table: string[][] = Array.from({ length: SLOTS }, () => []);
for (const name of KNOWN_NAMES) {
  const bytes = Buffer.from(name);
  table[slotOf(bytes, 0, bytes.length)]?.push(name);
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] ?? 0;
  const middle = bytes[(start + end) >> 1] ?? 0;
  const last = bytes[end - 1] ?? 0;
  return (first * 3 + middle * 17 + last * 59 + (end - start) * 101) & (SLOTS - 1);
}

/** The member name between the quotes at `start - 1` and `end`, unescaped. */
export function readName(bytes: Uint8Array, start: number, end: number): string {
  candidates: for (const name of table[slotOf(bytes, start, end)] ?? []) {
    if (name.length !== end - start) continue;
    for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name.charCodeAt(i)) continue candidates;
    return name;
  }
  const text = asBuffer(bytes).toString('utf8', start, end);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
