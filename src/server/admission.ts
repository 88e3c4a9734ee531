/** Access control: clients by key, or local callers if no key is required; operators by the admin key. */
import { BreakwaterError } from '../core/errors.ts';
import { isLoopbackHost } from '../gateway/config/index.ts';
import type { Call } from './call.ts';
import { bearerOf, credentialOf, isSameSecret } from './credential.ts';
import { crossSiteTrait, namesLoopback, proxyTrait, refuseForeign } from './local-look.ts';

/** The Retry-After of requests refused while draining, in milliseconds. */
const drainRetryMs = 1000;

/** Authenticates the client. Throws `shutting_down`, `invalid_api_key`, `not_local`. */
export function admitClient(call: Call): void {
  const { app, exchange } = call;
  if (app.draining) {
    throw new BreakwaterError('shutting_down', 'this server is shutting down; retry', { retryAfterMs: drainRetryMs });
  }
  const { server, clients } = app.gateway.config;
  call.credential = credentialOf(exchange, clients.length > 0) ?? keyInQuery(call);
  if (clients.length === 0 && !server.allowAnonymous) {
    refuseForeign(exchange, 'No client keys are configured: add clients, or set server.allowAnonymous: true.');
  }
  const client = app.gateway.authenticate(call.credential);
  if (client !== null) {
    call.client = clients.length === 0 && exchange.address !== null ? { ...client, holder: exchange.address } : client;
    return exchange.chargeTo(call);
  }
  const message = call.credential === null ? 'an API key is required: send authorization: Bearer KEY' : 'unknown API key';
  throw new BreakwaterError('invalid_api_key', message);
}

/** Gemini clients may send their key in the query. */
function keyInQuery({ protocol, place }: Call): string | null {
  return protocol === 'gemini' && place.query.includes('key=') ? new URLSearchParams(place.query).get('key') : null;
}

/** Records signs of a proxy on any request: behind a proxy every caller has a loopback address (docs/proxies.md). */
export function noteProxy({ app, exchange }: Call): void {
  if (app.proxySeen) return;
  // With `allowAnonymous`, a foreign host name on a loopback port means a proxy, or the operator's own name for this machine.
  const isForeignHost = app.gateway.config.server.allowAnonymous && exchange.place !== 'process' && !namesLoopback(exchange);
  app.proxySeen = isForeignHost || proxyTrait(exchange) !== null;
}

/** Authorizes an operator. Throws `invalid_api_key`, `not_local`. */
export function admitOperator(call: Call): void {
  const { app, exchange } = call;
  const { server } = app.gateway.config;
  if (changesState(exchange.method)) refuseCrossSite(call);
  if (server.adminKey !== '') {
    requireAdminKey(call, server.adminKey);
    return;
  }
  const closed = whyAdminIsClosed(app);
  if (closed !== null) {
    throw new BreakwaterError('not_local', `the admin API and the dashboard are disabled, because ${closed}. ${adminCure}`);
  }
  refuseForeign(exchange, `Without server.adminKey the admin API is available on this machine only. ${adminCure}`);
}

/**
 * Authorizes access to the dashboard's files, which contain no data. With an admin key any browser may load them, since the page itself asks
 * for the key; other programs that request `/` need the key. Without one the rules of the admin API apply, as the page would show nothing.
 */
export function admitPage(call: Call): void {
  const { adminKey } = call.app.gateway.config.server;
  const isBrowser = call.place.path !== '/' || (call.exchange.header('accept') ?? '').toLowerCase().includes('text/html');
  if (adminKey === '' || !isBrowser) admitOperator(call);
}

const adminCure = 'Set server.adminKey (or BREAKWATER_ADMIN_KEY) and send it as authorization: Bearer KEY.';

/** Why the admin API is disabled without an admin key; null: it is available on loopback. */
function whyAdminIsClosed({ gateway, boundHost, proxySeen }: Call['app']): string | null {
  if (gateway.config.clients.length > 0) return 'clients are configured and server.adminKey is not';
  if (boundHost !== null && !isLoopbackHost(boundHost)) return `the server is bound to ${boundHost} and server.adminKey is not set`;
  return proxySeen ? 'a request came through a proxy and server.adminKey is not set' : null;
}

/** Authorizes a scraper: any local one, others with the admin key. Throws `not_found`, `invalid_api_key`, `not_local`. */
export function admitScraper(call: Call): void {
  const { config } = call.gateway;
  const { metrics } = config.telemetry;
  if (metrics === false) throw new BreakwaterError('not_found', 'metrics are off (telemetry.metrics)');
  if (metrics === 'public') return;
  if (config.server.adminKey !== '' && bearerOf(call.exchange) !== null) {
    requireAdminKey(call, config.server.adminKey);
    return;
  }
  refuseForeign(call.exchange, 'Send server.adminKey as a bearer token, or set telemetry.metrics: public.');
}

function requireAdminKey(call: Call, adminKey: string): void {
  const given = bearerOf(call.exchange);
  if (given !== null && isSameSecret(given, adminKey)) return;
  const message = given === null ? 'the admin key is required: send authorization: Bearer KEY' : 'wrong admin key';
  throw new BreakwaterError('invalid_api_key', message);
}

function refuseCrossSite(call: Call): void {
  const trait = crossSiteTrait(call.exchange);
  if (trait !== null && call.exchange.place !== 'process') {
    throw new BreakwaterError('not_local', `this request changes state and is refused: ${trait}`);
  }
}

function changesState(method: string): boolean {
  return method !== 'GET' && method !== 'HEAD';
}
