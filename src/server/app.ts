/** The HTTP application, independent of sockets: handles exchanges. */
import type { HeaderPairs } from '../core/headers.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { errorResponse, type ErrorResponse } from '../pipeline/delivery/error-response.ts';
import { rejectedEvent } from '../pipeline/request/received.ts';
import type { Feed } from '../telemetry/feed.ts';
import type { Timelines } from '../telemetry/timelines.ts';
import { ERRORS } from '../wire/dialects.ts';
import { admitClient, admitOperator, admitPage, admitScraper, noteProxy } from './admission.ts';
import { Call, type AppState } from './call.ts';
import { LibraryCount } from './library-count.ts';
import { DecoderGate } from './decoder-gate.ts';
import type { ExchangeHandler } from './exchange.ts';
import { corsHeaders, preflightHeaders } from './cors.ts';
import { findListed, passListed } from './pass-through.ts';
import { hintFor } from './path-hints.ts';
import { isAmbiguous, protocolOfPath, withVersion } from './path.ts';
import { rejectedByHead } from './rejected.ts';
import { createRequestIds } from './request-id.ts';
import { createRouter, type Match, type Router } from './router.ts';
import { StallWatch } from './stall-watch.ts';
import { routes, type Route } from './routes.ts';

export interface AppOptions {
  readonly gateway: Gateway;
  readonly random: Random;
  /** Default: none. */
  readonly timelines?: Timelines;
  /** The source of `/admin/events`. Default: none. */
  readonly feed?: Feed;
  /** The Prometheus page. Default: none. */
  readonly scrape?: AppState['scrape'];
  /** The bind address of the listener. Default: none, in process only. */
  readonly boundHost?: string;
  /** Adds `x-breakwater-simulated: true` to every response. Default: false. */
  readonly simulated?: boolean;
  /** Reloads the config; rejects with the faults if it is invalid. Default: no config file. */
  readonly reload?: () => Promise<void>;
}

export interface App {
  readonly handle: ExchangeHandler;
  /** The response to invalid HTTP. `hasLeft`: the caller has probably disconnected, so no event is emitted. */
  readonly answerBroken: (status: number, message: string, hasLeft?: boolean) => ErrorResponse;
  /** From now on `/health/ready` returns 503, and new requests are refused with `shutting_down`. */
  startDraining(): void;
}

export function createApp(options: AppOptions): App {
  const state: AppState = {
    gateway: options.gateway,
    timelines: options.timelines ?? null,
    feed: options.feed ?? null,
    scrape: options.scrape ?? null,
    boundHost: options.boundHost ?? null,
    simulated: options.simulated ?? false,
    reload: options.reload ?? null,
    nextId: createRequestIds(options.random),
    stalls: new StallWatch(options.gateway.clock),
    decoders: new DecoderGate(),
    libraries: new LibraryCount(options.gateway.clock),
    draining: false,
    proxySeen: false,
  };
  const router = createRouter(routes);
  return {
    handle: (exchange) => serve(new Call(state, exchange), router),
    answerBroken(status, message, hasLeft = false) {
      const { clock, events } = options.gateway;
      const id = state.nextId();
      const error = brokenError(status, message);
      if (!hasLeft) {
        const trace = options.gateway.tracer.idsOf(undefined);
        const head = { method: '', path: '', protocol: 'openai', client: null, trace } as const;
        events.emit(rejectedEvent(id, clock.now(), error, rejectedByHead(head)));
      }
      return errorResponse(ERRORS.openai, error, id, null);
    },
    startDraining() {
      state.draining = true;
    },
  };
}

/** The Retry-After of a connection refused at the limit, in milliseconds. */
const connectionRetryMs = 1000;

function brokenError(status: number, message: string): BreakwaterError {
  if (status === 503) return new BreakwaterError('queue_full', message, { status, retryAfterMs: connectionRetryMs });
  return new BreakwaterError('invalid_request', message, { status });
}

function serve(call: Call, router: Router): void {
  try {
    noteProxy(call);
    const match = router.match(call.exchange.target);
    call.place = match.place;
    call.protocol = protocolOf(call, match);
    allowOrigin(call, match);
    const repeated = call.exchange.repeatedHeader?.() ?? null;
    if (repeated !== null) throw new BreakwaterError('invalid_request', `the header ${repeated} was sent twice`, { param: repeated });
    const served = match.routes === null || isListed(call, match) ? serveOther(call, match) : serveRoute(call, match.routes);
    served?.catch((error: unknown) => call.fail(error));
  } catch (error) {
    call.fail(error);
  }
}

function serveRoute(call: Call, candidates: readonly Route[]): void | Promise<void> {
  const { method } = call.exchange;
  for (const route of candidates) {
    if (route.method === method || (method === 'HEAD' && route.method === 'GET')) {
      admit(call, route);
      return route.run(call);
    }
  }
  const allow = candidates.map((route) => (route.method === 'GET' ? 'GET, HEAD' : route.method)).join(', ');
  if (method === 'OPTIONS') call.sendNothing(204, ['allow', `${allow}, OPTIONS`, ...preflight(call, allow)]);
  else
    call.fail(new BreakwaterError('invalid_request', `${call.place.path} allows ${allow} only (got ${method})`, { status: 405 }), [
      'allow',
      allow,
    ]);
}

/** Paths for clients, and those listed in the config, are available to web pages. */
function isForPages({ routes: found }: Match): boolean {
  return found === null || found.some((route) => route.access === 'client');
}

function allowOrigin(call: Call, match: Match): void {
  const { origins } = call.gateway.config.server.cors;
  if (origins.length > 0 && isForPages(match)) call.exchange.addHeaders(corsHeaders(call.exchange, origins));
}

function preflight(call: Call, methods: string): HeaderPairs {
  const { origins } = call.gateway.config.server.cors;
  return corsHeaders(call.exchange, origins).length > 2 ? preflightHeaders(call.exchange, methods) : [];
}

function admit(call: Call, route: Route): void {
  switch (route.access) {
    case 'client':
      return admitClient(call);
    case 'operator':
      return admitOperator(call);
    case 'page':
      return admitPage(call);
    case 'scraper':
      return admitScraper(call);
    case 'open':
  }
}

/** Paths that Breakwater implements, but that `server.passThrough` may forward to a provider instead. */
const mayBeListed = /^\/v1\/(?:files|batches|messages\/batches)(?:\/|$)/;

function isListed(call: Call, { place, path }: Match): boolean {
  const { passThrough } = call.gateway.config.server;
  return passThrough.length > 0 && mayBeListed.test(place.path) && findListed(passThrough, path, withVersion(path)) !== null;
}

/** Paths that are not in the table: listed in `server.passThrough`, reserved for a later version, or unknown. */
function serveOther(call: Call, { path }: Match): void | Promise<void> {
  const listed = findListed(call.gateway.config.server.passThrough, path, withVersion(path));
  if (listed !== null) {
    // A preflight has no key.
    if (call.exchange.method === 'OPTIONS') return call.sendNothing(204, preflight(call, 'GET, POST, PUT, PATCH, DELETE'));
    admitClient(call);
    if (isAmbiguous(path)) throw new BreakwaterError('invalid_request', 'the path is encoded twice, or its dot segments are ambiguous');
    return passListed(call, listed);
  }
  throw new BreakwaterError('not_found', `unknown path ${path}${hintFor(path)}`);
}

function protocolOf(call: Call, { path, place }: Match): Call['protocol'] {
  if (place.path.startsWith('/v1/models')) {
    if (call.exchange.header('anthropic-version') !== undefined) return 'anthropic';
    if (call.exchange.header('x-goog-api-client') !== undefined) return 'gemini';
  }
  return protocolOfPath(path);
}
