/** What makes two requests the same: for the cache by what they ask for, for an idempotency key by their bytes. */
import { hash } from 'node:crypto';
import { normalForm } from '../wire/openai-chat/normal-form.ts';
import type { GatewayRequest } from './gateway-request.ts';
import type { Route, RouteTarget } from './route.ts';

/** Forwarded headers that say nothing of the answer. */
const NO_DIFFERENCE: ReadonlySet<string> = new Set(['traceparent', 'tracestate', 'accept']);

/** What a route's answers depend on beside the request; a changed config makes other answers. */
const known = new WeakMap<Route, string>();

/**
 * Nobody gets what was made for another client. Where a provider is asked with the caller's own credential, this is who asks.
 */
export function scopeOf(request: GatewayRequest, route: Route): string {
  const { client, callerCredential } = request;
  if (callerCredential === null || !asksAsCaller(route)) return client.name;
  return `${client.name} ${hash('sha256', callerCredential, 'base64url')}`;
}

/** The name of everything that asks for the same answer. */
export function cacheKeyOf(request: GatewayRequest, route: Route): string {
  const { path, fallback, forwardHeaders, body } = request;
  const parts = [scopeOf(request, route), path, String(fallback), placesOf(route)];
  for (let i = 0; i + 1 < forwardHeaders.length; i += 2) {
    if (!NO_DIFFERENCE.has(forwardHeaders[i]!)) parts.push(forwardHeaders[i]!, forwardHeaders[i + 1]!);
  }
  return hash('sha256', JSON.stringify(parts) + normalForm(body), 'base64url');
}

/** The request behind an idempotency key: the same key with another one is refused. */
export function fingerprintOf({ path, body }: GatewayRequest): string {
  return `${path} ${hashOf(body.bytes, boundaryOf(body.contentType))}`;
}

/** A repeated form has the same parts between other boundaries. */
function hashOf(bytes: Uint8Array, boundary: string | null): string {
  if (boundary === null) return hash('sha256', bytes, 'base64url');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return hash('sha256', Buffer.from(text.replaceAll(boundary, '\0'), 'latin1'), 'base64url');
}

function boundaryOf(contentType: string | null): string | null {
  if (contentType === null || !/^multipart\//i.test(contentType)) return null;
  const found = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType);
  return found?.[1] ?? found?.[2] ?? null;
}

function asksAsCaller(route: Route): boolean {
  return route.tiers.some((tier) => tier.some(({ state }) => state.credential.auth === 'caller'));
}

/** Who answers there, and what is sent. */
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
