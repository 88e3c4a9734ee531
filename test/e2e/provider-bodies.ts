/** Errors in the shapes of single providers, as simulated answers. */
import type { SimulatedResponse } from '../../src/testing/index.ts';

export function json(status: number, body: string | object, headers: Record<string, string> = {}): SimulatedResponse {
  const bytes = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    steps: [
      { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
      { do: 'send', bytes },
    ],
  };
}

export const google = (status: number, word: string, message: string, details: object[] = []) =>
  json(status, { error: { code: status, message, status: word, details } });
export const anthropic = (status: number, type: string, message = 'm', more: object = {}) =>
  json(status, { type: 'error', error: { type, message, ...more }, request_id: 'req_1' });
export const amazon = (status: number, name: string, message = 'm', more: object = {}) =>
  json(status, { message, ...more }, { 'x-amzn-errortype': `${name}:http://internal.amazon.com/` });
export const openai = (status: number, code: string | null, type: string, message = 'm', param: string | null = null) =>
  json(status, { error: { message, type, param, code } });

export const DAILY_QUOTA = google(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota', [
  { '@type': 'x/google.rpc.QuotaFailure', violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel' }] },
  { '@type': 'x/google.rpc.RetryInfo', retryDelay: '37s' },
]);
