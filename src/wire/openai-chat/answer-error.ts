/**
 * The error in a body or chunk that came with a success status, or null: a truthy top-level `error` (the sign that the
 * official clients know), or a flat error object (older vLLM, Mistral, Cerebras). What comes back is for `readErrorValue`.
 */
export function findError(value: Record<string, unknown>): unknown {
  if (value['error']) return value;
  if (value['object'] === 'error') return value;
  // No chunk and no answer has words at its top level.
  return value['choices'] === undefined && value['data'] === undefined && typeof value['message'] === 'string' ? value : null;
}

/** OpenRouter's `error`, and DeepSeek's word for running out of machines in the middle: the answer is not whole. */
export function isFailedFinish(finish: unknown): finish is string {
  return finish === 'error' || finish === 'insufficient_system_resource';
}
