/** The identity of requests: for the cache by their meaning, for an idempotency key by their bytes. */
import { createHash, hash, type Hash } from 'node:crypto';
import { NEUTRAL_HEADERS } from '../../wire/forwarded-headers.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { Route, RouteTarget } from '../route/route.ts';

/** Bodies up to this size are hashed at once; hashing 1 MB takes about a millisecond. */
export const HASHED_AT_ONCE_BYTES_MAX = 1024 * 1024;
/** Bytes per step of larger bodies. */
const STEP_BYTES = 512 * 1024;

/** Everything besides the request that determines a route's responses; a changed config changes it. */
const known = new WeakMap<Route, string>();

/** The owner of a response: the client, and where providers are called with the caller's own credential, that credential. */
export function scopeOf(request: GatewayRequest, route: Route): string {
  const { client, callerCredential } = request;
  if (callerCredential === null || !asksAsCaller(route)) return client.name;
  return `${client.name} ${hash('sha256', callerCredential, 'base64url')}`;
}

/** The cache key of a request. */
export function cacheKeyOf(request: GatewayRequest, route: Route): Digest {
  const { path, fallback, forwardHeaders, body, dialect } = request;
  const parts = [scopeOf(request, route), path, String(fallback), placesOf(route)];
  for (let i = 0; i + 1 < forwardHeaders.length; i += 2) {
    const name = forwardHeaders[i]!;
    if (!NEUTRAL_HEADERS.has(name) && forwards(route, name)) parts.push(name, forwardHeaders[i + 1]!);
  }
  const asked = dialect.request.identity(body);
  return new Digest([JSON.stringify(parts), ...(typeof asked === 'string' ? [asked] : asked)]);
}

/** The digest of the request behind an idempotency key. A repeated multipart form has the same parts between other boundaries. */
export function fingerprintOf({ body }: GatewayRequest): Digest {
  const parts = body.passed?.parts ?? null;
  if (parts === null) return new Digest([body.bytes]);
  return new Digest(parts.flatMap(({ headersStart, end }) => [`${end - headersStart}:`, body.bytes.subarray(headersStart, end)]));
}

/** A hash of texts and bytes, computed in steps. */
export class Digest {
  readonly #hash: Hash = createHash('sha256');
  readonly #parts: readonly (string | Uint8Array)[];
  #part = 0;
  #at = 0;

  constructor(parts: readonly (string | Uint8Array)[]) {
    this.#parts = parts;
  }

  /** True: the hash is complete. */
  step(bytesMax = STEP_BYTES): boolean {
    for (let left = bytesMax; this.#part < this.#parts.length;) {
      if (left <= 0) return false;
      const part = this.#parts[this.#part]!;
      const chunk = typeof part === 'string' ? part : part.subarray(this.#at, this.#at + left);
      this.#hash.update(chunk);
      this.#at += chunk.length;
      left -= chunk.length;
      if (this.#at < part.length) continue;
      this.#part++;
      this.#at = 0;
    }
    return true;
  }

  /** After the last step. */
  text(): string {
    return this.#hash.digest('base64url');
  }
}

function asksAsCaller(route: Route): boolean {
  return route.tiers.some((tier) => tier.some(({ state }) => state.credential.auth === 'caller'));
}

/** True if any target of the route is sent the header. */
function forwards(route: Route, name: string): boolean {
  return route.tiers.some((tier) => tier.some(({ state }) => state.forwards.has(name)));
}

/** What identifies a target, and what it is sent. */
function placeOf({ state, set, drop }: RouteTarget): string {
  return JSON.stringify([state.name, state.origin, state.basePath, state.headers, set, drop]);
}

function placesOf(route: Route): string {
  let places = known.get(route);
  if (places === undefined) {
    const tiers = route.tiers.map((tier) => [...new Set(tier.map(placeOf))]);
    known.set(route, (places = JSON.stringify(tiers)));
  }
  return places;
}
