/** Errors that the gateway returns before a request reaches the pipeline. */
import { BreakwaterError } from '../core/errors.ts';

/** The longest accepted model name, in characters, since names are stored. */
export const MODEL_LENGTH_MAX = 512;

/** The Retry-After of requests refused while draining, in milliseconds. */
const DRAINING_RETRY_MS = 1_000;

export function longModelNameError(): BreakwaterError {
  return new BreakwaterError('invalid_request', `the model name is longer than ${MODEL_LENGTH_MAX} characters`, { param: 'model' });
}

export function shuttingDownError(): BreakwaterError {
  return new BreakwaterError('shutting_down', 'this instance is shutting down; retry', { retryAfterMs: DRAINING_RETRY_MS });
}

export function unknownModelError(model: string): BreakwaterError {
  const message = `unknown model ${JSON.stringify(model.slice(0, 200))}: configure it under models, or request PROVIDER/MODEL`;
  return new BreakwaterError('model_not_found', message, { param: 'model' });
}
