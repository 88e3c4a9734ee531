import type { Operation } from '../../core/request.ts';

/**
 * All names in exported spans: the GenAI semantic conventions v0.1.0 (status: Development), the general conventions 1.45.0, and
 * `breakwater.*` for what they lack. The one place to change when a convention does.
 */
export const NAMES = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  model: 'gen_ai.request.model',
  stream: 'gen_ai.request.stream',
  maxTokens: 'gen_ai.request.max_tokens',
  /** Seconds. */
  firstChunk: 'gen_ai.response.time_to_first_chunk',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cacheReadTokens: 'gen_ai.usage.cache_read.input_tokens',
  cacheWriteTokens: 'gen_ai.usage.cache_write.input_tokens',
  reasoningTokens: 'gen_ai.usage.reasoning.output_tokens',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  status: 'http.response.status_code',
  errorType: 'error.type',
  method: 'http.request.method',
  path: 'url.path',

  requestId: 'breakwater.request.id',
  error: 'breakwater.error',
  protocol: 'breakwater.protocol',
  client: 'breakwater.client',
  priority: 'breakwater.priority',
  outcome: 'breakwater.outcome',
  target: 'breakwater.target',
  attempts: 'breakwater.attempts',
  fallback: 'breakwater.fallback',
  cache: 'breakwater.cache',
  queueMs: 'breakwater.queue_ms',
  costUsd: 'breakwater.cost_usd',
  estimatedUsd: 'breakwater.estimated_cost_usd',
  wastedUsd: 'breakwater.wasted_usd',
  skippedEvents: 'breakwater.skipped_events',

  attempt: 'breakwater.attempt',
  credential: 'breakwater.credential',
  isRetry: 'breakwater.retry',
  race: 'breakwater.race',
  isProbe: 'breakwater.probe',
  isCommitted: 'breakwater.committed',
  verdict: 'breakwater.verdict',
  reason: 'breakwater.reason',
  failure: 'breakwater.failure',
  phase: 'breakwater.phase',
  quality: 'breakwater.quality',
  upstreamRequestId: 'breakwater.upstream_request_id',

  queuedEvent: 'breakwater.queued',
  backoffEvent: 'breakwater.backoff',
  committedEvent: 'breakwater.committed',
  noteEvent: 'breakwater.note',
  blockers: 'breakwater.blockers',
  delayMs: 'breakwater.delay_ms',
  note: 'breakwater.note',
} as const;

export const OPERATION_NAMES: Readonly<Record<Operation, string>> = {
  chat: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
  bytes: 'pass_through',
};

/** Well-known values of `gen_ai.provider.name` by our presets; others keep their names. */
export const PROVIDER_NAMES: Readonly<Record<string, string>> = {
  azure: 'azure.ai.openai',
  bedrock: 'aws.bedrock',
  gemini: 'gcp.gemini',
  vertex: 'gcp.vertex_ai',
  mistral: 'mistral_ai',
  xai: 'x_ai',
};
