/**
 * Errors that vendors report in fields of their own in a success response: `base_resp` (MiniMax), `Response.Error` (Tencent),
 * `ResponseMetadata.Error` (Volcengine), `header.code` (Spark), `success: false` with `errors` (Cloudflare). The result has the
 * form that `readErrorValue` reads.
 */

import { isRecord } from '../core/json.ts';

/** MiniMax sends numbers only. */
const BASE_RESP: Readonly<Record<number, string>> = {
  1002: 'rate_limit_exceeded',
  1004: 'invalid_api_key',
  1008: 'insufficient_balance',
  1026: 'content_filter',
  1027: 'content_filter',
  1039: 'rate_limit_exceeded',
  1041: 'rate_limit_exceeded',
  2013: 'invalid_params',
  2049: 'invalid_api_key',
  2056: 'usage_limit_reached',
};

/** Null: none. */
export function findVendorError(value: Record<string, unknown>): object | null {
  const { base_resp: base, Response: response, ResponseMetadata: metadata, header, success } = value;
  if (isRecord(base) && typeof base['status_code'] === 'number' && base['status_code'] !== 0) {
    const number = base['status_code'];
    return {
      error: { ...base, status_code: undefined, code: BASE_RESP[number] ?? String(number), message: messageOf(base['status_msg'], number) },
    };
  }
  for (const wrapper of [response, metadata]) {
    const error = isRecord(wrapper) ? wrapper['Error'] : null;
    if (isRecord(error)) return { error: { code: error['Code'] ?? error['CodeN'], message: error['Message'] } };
  }
  if (isRecord(header) && typeof header['code'] === 'number' && header['code'] !== 0) {
    return { error: { code: String(header['code']), message: messageOf(header['message'], header['code']) } };
  }
  const errors = value['errors'];
  if (success === false && Array.isArray(errors) && isRecord(errors[0])) return { error: errors[0] };
  return null;
}

function messageOf(text: unknown, number: number): string {
  return typeof text === 'string' && text !== '' ? text : `the provider's status code ${number}`;
}
