/** What becomes of a Responses request's members in another dialect; the words as in `openai-chat/request-fields.ts`. */
import type { FieldHandling } from '../conversion-loss.ts';

export const RESPONSES_FIELDS: Readonly<Record<string, FieldHandling>> = {
  model: 'model',
  input: 'model',
  instructions: 'model',
  stream: 'model',
  max_output_tokens: 'model',
  temperature: 'model',
  top_p: 'model',
  tools: 'model',
  tool_choice: 'model',
  parallel_tool_calls: 'model',
  text: 'model',
  reasoning: 'model',
  user: 'model',
  safety_identifier: 'model',
  prompt_cache_key: 'model',
  service_tier: 'model',
  // The history, or a part of the prompt, lives at the provider. (Ours are expanded before.)
  previous_response_id: 'refuse',
  conversation: 'refuse',
  prompt: 'refuse',
  multi_agent: 'refuse',
  // Where, for whom and in which form the provider keeps or sends the response.
  store: 'ignore',
  metadata: 'ignore',
  client_metadata: 'ignore',
  include: 'ignore',
  stream_options: 'ignore',
  background: 'ignore',
  truncation: 'ignore',
  // Worse, not wrong.
  top_logprobs: 'drop',
  max_tool_calls: 'drop',
  context_management: 'drop',
  prompt_cache_options: 'drop',
  prompt_cache_retention: 'drop',
  moderation: 'drop',
};
