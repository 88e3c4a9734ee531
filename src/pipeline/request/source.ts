/** The source that failures of a request are attributed to (core/blame.ts). */
import type { Source } from '../../core/source.ts';
import type { GatewayRequest } from './gateway-request.ts';

/** Number of four-byte words sampled from each part of a longer body: its beginning, spread over its middle, and its end. */
const SAMPLE = 32;
const WORD = 4;

/** Cheap, as it runs for every request; the same request sent again has the same source. */
export function sourceOf({ client, callerCredential, sessionKey, body, path }: GatewayRequest): Source {
  // Without configured clients, callers are distinguished by a hash of their credential.
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
  const part = SAMPLE * WORD;
  const start = Math.imul(seed ^ length, PRIME);
  if (length <= 3 * part) return mixTail(mix(start, bytes, 0, length - WORD + 1, WORD), bytes);
  const stride = Math.ceil((length - 2 * part) / SAMPLE);
  const middle = mix(mix(start, bytes, 0, part, WORD), bytes, part, length - part, Math.max(WORD, stride));
  return mixTail(mix(middle, bytes, length - part, length - WORD + 1, WORD), bytes);
}

function mix(seed: number, bytes: Uint8Array, from: number, to: number, step: number): number {
  let hash = seed;
  for (let i = from; i < to; i += step) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    hash = Math.imul(hash ^ word, PRIME);
    hash ^= hash >>> 15; // otherwise high bits never reach low ones
  }
  return hash;
}

function mixTail(seed: number, bytes: Uint8Array): number {
  let hash = seed;
  for (let i = bytes.length - (bytes.length % WORD); i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME);
  return hash >>> 0;
}
