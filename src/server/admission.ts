/** Who may come in: clients by key, or by looking local where no key is asked for; operators by the admin key (design 2.3, 4.10). */
import { BreakwaterError } from '../core/errors.ts';
import { isLoopbackHost } from '../gateway/config/index.ts';
import type { Call } from './call.ts';
import { bearerOf, credentialOf, isSameSecret } from './credential.ts';
import { crossSiteTrait, refuseForeign } from './local-look.ts';

/** Refused while draining: when another instance, or the next process, may be asked. */
const drainRetryMs = 1000;

/** Finds out who calls. Throws `shutting_down`, `invalid_api_key`, `not_local`. */
export function admitClient(call: Call): void {
  const { app, exchange } = call;
  if (app.draining) {
    throw new BreakwaterError('shutting_down', 'this server is shutting down: ask again', { retryAfterMs: drainRetryMs });
  }
  const { server, clients } = app.gateway.config;
  call.credential = credentialOf(exchange);
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

/** Lets operators in. Throws `invalid_api_key`, `not_local`. */
export function admitOperator(call: Call): void {
  const { app, exchange } = call;
  const { server, clients } = app.gateway.config;
  if (changesState(exchange.method)) refuseCrossSite(call);
  if (server.adminKey !== '') {
    requireAdminKey(call, server.adminKey);
    return;
  }
  if (clients.length > 0 && (app.boundHost === null || !isLoopbackHost(app.boundHost))) {
    throw new BreakwaterError('not_local', 'the admin API is closed, because clients are configured: set server.adminKey to open it');
  }
  refuseForeign(exchange, 'Without server.adminKey the admin API answers on this machine only.');
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
