/** What happens to each member of a Messages request in conversion; see `openai-chat/request-fields.ts` for the values. */
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
  // The history or the tools are stored at the provider.
  thread: 'refuse',
  container: 'refuse',
  mcp_servers: 'refuse',
  compaction: 'refuse',
  // Affect the provider's routing or accounting, not the response.
  anthropic_version: 'ignore',
  anthropic_beta: 'ignore',
  betas: 'ignore',
  diagnostics: 'ignore',
  workspace_id: 'ignore',
  user_profile_id: 'ignore',
  billing_policy: 'ignore',
  // The response is less good, but still correct.
  cache_control: 'drop',
  context_management: 'drop',
  fallbacks: 'drop',
  fallback_credit_token: 'drop',
  inference_geo: 'drop',
  speed: 'drop',
};
