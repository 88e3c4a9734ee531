/** What becomes of a Messages request's members in another dialect; the words as in `openai-chat/request-fields.ts`. */
import type { FieldHandling } from '../conversion-loss.ts';

export const MESSAGES_FIELDS: Readonly<Record<string, FieldHandling>> = {
  model: 'model',
  messages: 'model',
  system: 'model',
  max_tokens: 'model',
  stream: 'model',
  temperature: 'model',
  top_p: 'model',
  top_k: 'model',
  stop_sequences: 'model',
  tools: 'model',
  tool_choice: 'model',
  thinking: 'model',
  output_config: 'model',
  output_format: 'model',
  metadata: 'model',
  service_tier: 'model',
  // The history, or the tools, live at the provider.
  thread: 'refuse',
  container: 'refuse',
  mcp_servers: 'refuse',
  compaction: 'refuse',
  // Where and for whom the provider counts the request; the response is the same.
  anthropic_version: 'ignore',
  anthropic_beta: 'ignore',
  betas: 'ignore',
  diagnostics: 'ignore',
  workspace_id: 'ignore',
  user_profile_id: 'ignore',
  billing_policy: 'ignore',
  // Worse, not wrong.
  cache_control: 'drop',
  context_management: 'drop',
  fallbacks: 'drop',
  fallback_credit_token: 'drop',
  inference_geo: 'drop',
  speed: 'drop',
};
