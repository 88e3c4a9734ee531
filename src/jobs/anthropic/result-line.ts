/** A line of a message batch's results, in Anthropic's format. */
import { ERROR_CATALOGUE, type ErrorCode } from '../../core/errors.ts';
import { isRecord } from '../../core/json.ts';
import type { DoneItem } from '../../store/jobs/job-store.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import { parseRecord } from '../../wire/json-exact.ts';
import { breakwaterMember } from '../results.ts';

export const CANCELED = 'batch_canceled';
export const EXPIRED = 'batch_expired';

export const RESULT_TYPES = ['succeeded', 'errored', 'canceled', 'expired'] as const;
export type ResultType = (typeof RESULT_TYPES)[number];

export function resultType({ succeeded, error }: DoneItem): ResultType {
  if (succeeded) return 'succeeded';
  if (error?.code === CANCELED) return 'canceled';
  return error?.code === EXPIRED ? 'expired' : 'errored';
}

/** Includes the line feed. The message keeps its bytes. */
export function messageResultLine(item: DoneItem): Uint8Array {
  const type = resultType(item);
  const start = `{"custom_id":${JSON.stringify(item.customId)},"result":{"type":"${type}"`;
  const end = `}${breakwaterMember(item)}}\n`;
  if (type === 'succeeded') return Buffer.concat([Buffer.from(`${start},"message":`), item.body ?? Buffer.from('null'), Buffer.from(end)]);
  if (type !== 'errored') return Buffer.from(start + end);
  return Buffer.concat([Buffer.from(`${start},"error":`), errorOf(item), Buffer.from(end)]);
}

/** The body of the failed response, or of an error of Breakwater. */
function errorOf({ body, status, error, facts }: DoneItem): Uint8Array {
  const requestId = typeof facts['requestId'] === 'string' ? facts['requestId'] : null;
  if (body !== null && isErrorBody(body)) return body;
  const entry = error !== null && error.code in ERROR_CATALOGUE ? ERROR_CATALOGUE[error.code as ErrorCode] : null;
  const words = {
    status: entry?.status ?? status ?? 500,
    type: entry?.anthropicType ?? null,
    message: error?.message ?? `the response had status ${status}`,
    param: null,
    code: error?.code ?? null,
    retryAfterMs: null,
  };
  const found = DIALECTS['anthropic-messages'].error.body(words, requestId ?? '');
  // There is no request id if no request was made.
  return requestId === null
    ? Buffer.from(JSON.stringify({ ...parseRecord(Buffer.from(found).toString('utf8')), request_id: null }))
    : found;
}

function isErrorBody(body: Uint8Array): boolean {
  const value = parseRecord(Buffer.from(body).toString('utf8'));
  return value !== null && value['type'] === 'error' && isRecord(value['error']);
}
