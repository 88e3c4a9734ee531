/**
 * What becomes of a chat request's members when the request is converted to another dialect (design: docs/conversion.md lists the same).
 * `model`: the member has a place in ModelRequest; `refuse` and `drop`: see `Unmodelled`; `ignore`: it changes nothing a caller could
 * miss. Members that are not listed are dropped and named.
 */
import type { FieldFate } from '../conversion-loss.ts';

export const CHAT_FIELDS: Readonly<Record<string, FieldFate>> = {
  model: 'model',
  messages: 'model',
  stream: 'model',
  stream_options: 'model',
  max_tokens: 'model',
  max_completion_tokens: 'model',
  n: 'model',
  temperature: 'model',
  top_p: 'model',
  top_k: 'model',
  seed: 'model',
  presence_penalty: 'model',
  frequency_penalty: 'model',
  stop: 'model',
  tools: 'model',
  tool_choice: 'model',
  parallel_tool_calls: 'model',
  functions: 'model',
  function_call: 'model',
  response_format: 'model',
  reasoning_effort: 'model',
  reasoning: 'model',
  thinking: 'model',
  enable_thinking: 'model',
  user: 'model',
  safety_identifier: 'model',
  prompt_cache_key: 'model',
  service_tier: 'model',
  modalities: 'model',
  // The response would lack what was asked for.
  audio: 'refuse',
  web_search_options: 'refuse',
  // Where the caller's provider keeps or counts the request; the response is the same.
  store: 'ignore',
  metadata: 'ignore',
  // Worse, not wrong.
  logprobs: 'drop',
  top_logprobs: 'drop',
  logit_bias: 'drop',
  prediction: 'drop',
  verbosity: 'drop',
  moderation: 'drop',
  prompt_cache_options: 'drop',
  prompt_cache_retention: 'drop',
};
