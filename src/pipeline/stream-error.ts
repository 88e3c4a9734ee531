import { ERROR_CATALOGUE } from '../core/errors.ts';
import type { BreakwaterError } from '../core/errors.ts';

/** An error of ours as the object inside an in-band error event. */
export function streamErrorOf(error: BreakwaterError): { message: string; type: string; param: string | null; code: string } {
  return { message: error.message, type: ERROR_CATALOGUE[error.code].openaiType, param: error.param, code: error.code };
}
