import { createHash, timingSafeEqual } from 'node:crypto';
import { BreakwaterError } from '../core/errors.ts';
import type { Exchange } from './exchange.ts';

/** Headers with a bare key, in addition to `authorization: Bearer`. */
const keyHeaders = ['x-api-key', 'api-key', 'x-goog-api-key'] as const;

/**
 * The key in the request; null: none. `isChecked`: client keys are required, and two headers with different keys are refused
 * (`invalid_api_key`). If no key is required, the first one is used, since agents may send arbitrary values.
 */
export function credentialOf(exchange: Exchange, isChecked: boolean): string | null {
  let credential = bearerOf(exchange);
  for (const name of keyHeaders) {
    const value = exchange.header(name);
    if (value === undefined || value === '') continue;
    if (isChecked && credential !== null && credential !== value) {
      throw new BreakwaterError('invalid_api_key', 'the request has two different API keys; send one');
    }
    credential ??= value;
  }
  return credential;
}

/** The name of the header with the credential. */
export function credentialHeaderOf(exchange: Exchange, credential: string | null): string {
  const name = credential === null ? undefined : keyHeaders.find((key) => exchange.header(key) === credential);
  return name === undefined || bearerOf(exchange) === credential ? 'authorization' : name;
}

/** The bearer token of the authorization header; null: none. */
export function bearerOf(exchange: Exchange): string | null {
  const value = exchange.header('authorization');
  if (value === undefined || value.length < 8 || value.slice(0, 7).toLowerCase() !== 'bearer ') return null;
  const token = value.slice(7).trim();
  return token === '' ? null : token;
}

/** Compares two secrets in constant time. */
export function isSameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
