import { isRecord, parseOrUndefined } from '../core/json.ts';

/** `error.message` of a JSON body; null: it has none. */
export function errorMessageIn(body: string): string | null {
  const value = parseOrUndefined(body);
  const error = isRecord(value) ? value['error'] : undefined;
  const message = isRecord(error) ? error['message'] : undefined;
  return typeof message === 'string' ? message : null;
}
