/** Errors of the gateway itself, before a request reaches the pipeline. */
import { BreakwaterError } from '../core/errors.ts';

/** Names are remembered: a longer one is refused, in characters. */
export const MODEL_LENGTH_MAX = 512;

/** How long a caller that came while draining should wait for another instance, in milliseconds. */
const DRAINING_RETRY_MS = 1_000;

export function longModel(): BreakwaterError {
  return new BreakwaterError('invalid_request', `the model's name is longer than ${MODEL_LENGTH_MAX} characters`, { param: 'model' });
}

export function shuttingDown(): BreakwaterError {
  return new BreakwaterError('shutting_down', 'this instance is shutting down; retry', { retryAfterMs: DRAINING_RETRY_MS });
}

export function unknownModel(model: string): BreakwaterError {
  const message = `there is no model ${JSON.stringify(model.slice(0, 200))} here: configure it under models, or ask for PROVIDER/MODEL`;
  return new BreakwaterError('model_not_found', message, { param: 'model' });
}
