/** Who a request is held against (core/blame.ts). */
import type { Source } from '../core/source.ts';
import type { GatewayRequest } from './gateway-request.ts';

/** Of a longer body so many bytes are looked at, at its beginning, at its end, and spread between. */
const SAMPLE = 256;

/** Cheap, and the same for the same request sent again. Every request passes here. */
export function sourceOf({ client, callerCredential, sessionKey, body, path }: GatewayRequest): Source {
  // Where no clients are configured callers are told apart by what they authenticate with: a hash, so that no key is kept.
  const name = callerCredential === null ? client.name : `${client.name} ${hashText(SEED, callerCredential)}`;
  const own = hashText(SEED, name);
  return { client: name, request: sessionKey === null ? hashBytes(hashText(own, path), body.bytes) : hashText(own, sessionKey) };
}

const SEED = 0x811c9dc5;
const PRIME = 0x01000193;

function hashText(seed: number, text: string): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
  return hash >>> 0;
}

function hashBytes(seed: number, bytes: Uint8Array): number {
  const { length } = bytes;
  let hash = Math.imul(seed ^ length, PRIME);
  if (length <= 3 * SAMPLE) return mix(hash, bytes, 0, length, 1);
  hash = mix(hash, bytes, 0, SAMPLE, 1);
  hash = mix(hash, bytes, SAMPLE, length - SAMPLE, Math.ceil((length - 2 * SAMPLE) / SAMPLE));
  return mix(hash, bytes, length - SAMPLE, length, 1);
}

function mix(seed: number, bytes: Uint8Array, from: number, to: number, step: number): number {
  let hash = seed;
  for (let i = from; i < to; i += step) hash = Math.imul(hash ^ bytes[i]!, PRIME);
  return hash >>> 0;
}
