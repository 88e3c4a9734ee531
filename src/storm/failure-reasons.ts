/** Failure reasons and error shapes. */

/** Failure reasons, independent of protocol. */
export const FAILURE_REASONS = [
  'bad-json',
  'bad-key',
  'bad-gateway',
  'conflict',
  'content-filter',
  'context-length',
  'forbidden',
  'gateway-timeout',
  'invalid',
  'no-model',
  'not-found',
  'overloaded',
  'parameter',
  'quota',
  'rate-limit',
  'request-timeout',
  'server',
  'slow-down',
  'status',
  'too-large',
  'unavailable',
] as const;

export type FailureReason = (typeof FAILURE_REASONS)[number];

/**
 * Error formats. `nested` is OpenAI's; `flat` (Mistral, Cerebras), `message` (Cohere), `string` (xAI, Ollama), `array`
 * (Gemini), `double` (a gateway that wraps another error's JSON in its message), `quoted` (JSON in a JSON string),
 * `numeric` (OpenRouter), `google`, `detail` (FastAPI) and `event` (SSE `event: error`) are those of other providers.
 */
export const ERROR_SHAPES = [
  'nested',
  'flat',
  'message',
  'string',
  'array',
  'double',
  'quoted',
  'numeric',
  'google',
  'detail',
  'words',
  'html',
  'empty',
  'gzip',
  'event',
] as const;

export type ErrorShape = (typeof ERROR_SHAPES)[number];
