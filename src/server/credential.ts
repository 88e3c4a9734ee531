import { createHash, timingSafeEqual } from 'node:crypto';
import { BreakwaterError } from '../core/errors.ts';
import type { Exchange } from './exchange.ts';

/** Headers that carry a key as it is, beside `authorization: Bearer`. */
const keyHeaders = ['x-api-key', 'api-key', 'x-goog-api-key'] as const;

/**
 * The key that the caller presents; null: none. `isChecked`: it is compared with those of the clients, and two headers that disagree are
 * refused (`invalid_api_key`). Where no key is asked for agents send what they like, and the first one counts.
 */
export function credentialOf(exchange: Exchange, isChecked: boolean): string | null {
  let credential = bearerOf(exchange);
  for (const name of keyHeaders) {
    const value = exchange.header(name);
    if (value === undefined || value === '') continue;
    if (isChecked && credential !== null && credential !== value) {
      throw new BreakwaterError('invalid_api_key', 'two different API keys were sent in one request: send one');
    }
    credential ??= value;
  }
  return credential;
}

/** The name of the header that the credential stands in. */
export function credentialHeaderOf(exchange: Exchange, credential: string | null): string {
  const name = credential === null ? undefined : keyHeaders.find((key) => exchange.header(key) === credential);
  return name === undefined || bearerOf(exchange) === credential ? 'authorization' : name;
}

/** What stands after `Bearer` in the authorization header; null: nothing does. */
export function bearerOf(exchange: Exchange): string | null {
  const value = exchange.header('authorization');
  if (value === undefined || value.length < 8 || value.slice(0, 7).toLowerCase() !== 'bearer ') return null;
  const token = value.slice(7).trim();
  return token === '' ? null : token;
}

/** Compares two secrets in a time that tells nothing of them. */
export function isSameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
