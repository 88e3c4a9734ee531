/**
 * How the members of a chat request are converted to another dialect (docs/conversion.md lists the same). `model`: the member has a place
 * in ModelRequest; `refuse` and `drop`: see `Unmodelled`; `ignore`: it has no noticeable effect. Members that are not listed are dropped
 * and reported.
 */
import type { FieldHandling } from '../conversion-loss.ts';

export const CHAT_FIELDS: Readonly<Record<string, FieldHandling>> = {
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
  // The response would lack what was requested.
  audio: 'refuse',
  web_search_options: 'refuse',
  // Where the caller's provider stores or counts the request; the response is the same.
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
