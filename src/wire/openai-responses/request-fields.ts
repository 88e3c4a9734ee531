/** What happens to each member of a Responses request in conversion; see `openai-chat/request-fields.ts` for the values. */
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
  // The history or part of the prompt is stored at the provider. (This proxy's own ids are expanded earlier.)
  previous_response_id: 'refuse',
  conversation: 'refuse',
  prompt: 'refuse',
  multi_agent: 'refuse',
  // Where, for whom and in which form the provider stores or delivers the response.
  store: 'ignore',
  metadata: 'ignore',
  client_metadata: 'ignore',
  include: 'ignore',
  stream_options: 'ignore',
  background: 'ignore',
  truncation: 'ignore',
  // The response is less detailed, but still correct.
  top_logprobs: 'drop',
  max_tool_calls: 'drop',
  context_management: 'drop',
  prompt_cache_options: 'drop',
  prompt_cache_retention: 'drop',
  moderation: 'drop',
};
