/** Who may come in: clients by key, or by looking local where no key is asked for; operators by the admin key (design 2.3, 4.10). */
import { BreakwaterError } from '../core/errors.ts';
import { isLoopbackHost } from '../gateway/config/index.ts';
import type { Call } from './call.ts';
import { bearerOf, credentialOf, isSameSecret } from './credential.ts';
import { crossSiteTrait, namesLoopback, proxyTrait, refuseForeign } from './local-look.ts';

/** Refused while draining: when another instance, or the next process, may be asked. */
const drainRetryMs = 1000;

/** Finds out who calls. Throws `shutting_down`, `invalid_api_key`, `not_local`. */
export function admitClient(call: Call): void {
  const { app, exchange } = call;
  if (app.draining) {
    throw new BreakwaterError('shutting_down', 'this server is shutting down: ask again', { retryAfterMs: drainRetryMs });
  }
  const { server, clients } = app.gateway.config;
  call.credential = credentialOf(exchange, clients.length > 0) ?? keyInQuery(call);
  if (clients.length === 0 && !server.allowAnonymous) {
    refuseForeign(exchange, 'No key is asked for here: configure clients, or set server.allowAnonymous: true.');
  }
  const client = app.gateway.authenticate(call.credential);
  if (client !== null) {
    call.client = clients.length === 0 && exchange.address !== null ? { ...client, holder: exchange.address } : client;
    return exchange.chargeTo(call);
  }
  const message = call.credential === null ? 'an API key is needed: send authorization: Bearer KEY' : 'the API key is not known here';
  throw new BreakwaterError('invalid_api_key', message);
}

/** Gemini's clients may send their key in the query. */
function keyInQuery({ protocol, place }: Call): string | null {
  return protocol === 'gemini' && place.query.includes('key=') ? new URLSearchParams(place.query).get('key') : null;
}

/** Remembers a mark of a proxy on any request: behind one, every visitor has a loopback address (docs/proxies.md). */
export function noteProxy({ app, exchange }: Call): void {
  if (app.proxySeen) return;
  // A visitor who may come under another host name reached a loopback port through a proxy, or through the operator's own name for it.
  const isForeignHost = app.gateway.config.server.allowAnonymous && exchange.place !== 'process' && !namesLoopback(exchange);
  app.proxySeen = isForeignHost || proxyTrait(exchange) !== null;
}

/** Lets operators in. Throws `invalid_api_key`, `not_local`. */
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
    throw new BreakwaterError('not_local', `the admin API and the dashboard are closed, because ${closed}. ${adminCure}`);
  }
  refuseForeign(exchange, `Without server.adminKey the admin API answers on this machine only. ${adminCure}`);
}

const adminCure = 'Set server.adminKey (or BREAKWATER_ADMIN_KEY) and send it as authorization: Bearer KEY.';

/** Why no address is trusted where no admin key is configured; null: loopback is. */
function whyAdminIsClosed({ gateway, boundHost, proxySeen }: Call['app']): string | null {
  if (gateway.config.clients.length > 0) return 'clients are configured and server.adminKey is not';
  if (boundHost !== null && !isLoopbackHost(boundHost)) return `the server is bound to ${boundHost} and server.adminKey is not set`;
  return proxySeen ? 'a request has come through a proxy and server.adminKey is not set' : null;
}

/** Lets scrapers in: everybody on this machine, others with the admin key. Throws `not_found`, `invalid_api_key`, `not_local`. */
export function admitScraper(call: Call): void {
  const { config } = call.gateway;
  const { metrics } = config.telemetry;
  if (metrics === false) throw new BreakwaterError('not_found', 'metrics are off (telemetry.metrics)');
  if (metrics === 'public') return;
  if (config.server.adminKey !== '' && bearerOf(call.exchange) !== null) {
    requireAdminKey(call, config.server.adminKey);
    return;
  }
  refuseForeign(call.exchange, 'Send server.adminKey as bearer, or set telemetry.metrics: public.');
}

function requireAdminKey(call: Call, adminKey: string): void {
  const given = bearerOf(call.exchange);
  if (given !== null && isSameSecret(given, adminKey)) return;
  const message = given === null ? 'the admin key is needed: send authorization: Bearer KEY' : 'this is not the admin key';
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
