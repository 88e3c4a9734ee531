/** Errors that the gateway returns before a request reaches the pipeline. */
import { BreakwaterError } from '../core/errors.ts';
import { errorResponse, type ErrorResponse } from '../pipeline/delivery/error-response.ts';
import type { Config } from './config/index.ts';

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

/** Of a request that was not run. `server.drainHeaders` mark those that another instance would have run. */
export function refusalResponse({ server }: Config, ...args: Parameters<typeof errorResponse>): ErrorResponse {
  const response = errorResponse(...args);
  if (args[1].code === 'shutting_down') response.headers.push(...Object.entries(server.drainHeaders).flat());
  return response;
}

export function unknownModelError(model: string): BreakwaterError {
  const message = `unknown model ${JSON.stringify(model.slice(0, 200))}: configure it under models, or request PROVIDER/MODEL`;
  return new BreakwaterError('model_not_found', message, { param: 'model' });
}
