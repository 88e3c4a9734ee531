/** A `fetch` that a gateway answers while it is alive, and the engine in this process when it is not. */
import { BreakwaterError } from '../../core/errors.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { errorResponse } from '../../pipeline/delivery/error-response.ts';
import type { GatewayClient } from '../../transport/gateway-client.ts';
import { ERRORS } from '../../wire/dialects.ts';
import { fromAzure, parseTarget, protocolOfPath, withVersion } from '../path.ts';
import type { GatewayCall, GatewayCalls } from './gateway-calls.ts';
import type { GatewayWatch } from './gateway-watch.ts';

/** What the gateway keeps, by the path in the route table: another process has none of it. */
const KEPT_THERE = /^\/v1\/(?:files|batches|messages\/batches|admin|metrics|responses\/.)/;
const BACKGROUND = /"(?:background"\s*:\s*true|previous_response_id"\s*:\s*")/;
/** Headers that no longer hold once a body was read. */
const OF_THE_WIRE = ['content-encoding', 'content-length', 'transfer-encoding', 'connection', 'keep-alive'];
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
/** Messages of the gateway's error `shutting_down`; only OpenAI's form has the code itself. */
const SHUTTING_DOWN = /^this (?:server|instance) is shutting down; retry$/;
/** The gateway behind a load balancer that answers in its place. */
const STAND_INS: ReadonlySet<number> = new Set([502, 503, 504]);
const RETRY_MS = 1_000;

export interface GatewayFetchOptions {
  readonly watch: GatewayWatch;
  readonly calls: GatewayCalls;
  readonly client: GatewayClient;
  /** Of the gateway, without a slash at its end. */
  readonly url: string;
  /** Null: the caller's own credential is sent. */
  readonly key: string | null;
  /** The engine in this process. */
  readonly local: typeof fetch;
}

export function createGatewayFetch(options: GatewayFetchOptions): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer());
    const found = options.watch.isAlive && !options.calls.isClosed ? await askGateway(options, request, body) : null;
    if (found !== null) return found;
    // Once closed, the engine in this process refuses all requests.
    if (options.calls.isClosed) return askLocally(options, request, body);
    const { pathname } = new URL(request.url);
    if (isKeptThere(pathname, body)) return unavailable(pathname);
    return askLocally(options, request, body);
  };
}

function askLocally({ local }: GatewayFetchOptions, { url, method, headers, signal }: Request, body: Uint8Array | null): Promise<Response> {
  return local(new Request(url, { method, headers, signal, ...(body !== null && { body }) }));
}

function isKeptThere(pathname: string, body: Uint8Array | null): boolean {
  const path = routePath(pathname);
  if (path === null) return false;
  if (KEPT_THERE.test(path)) return true;
  if (path !== '/v1/responses' || body === null) return false;
  return BACKGROUND.test(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'));
}

/** Null: the path is not valid; the engine in this process refuses it. */
function routePath(pathname: string): string | null {
  try {
    return withVersion(fromAzure(parseTarget(pathname)).path);
  } catch {
    return null;
  }
}

/**
 * Null: the gateway is gone, and nothing of its response was passed on. Rejects, as `fetch` does, if the request fails twice at a gateway that
 * is ready.
 */
async function askGateway(options: GatewayFetchOptions, request: Request, body: Uint8Array | null): Promise<Response | null> {
  const { watch, calls } = options;
  // A connection that the gateway has just closed proves nothing: one repeat, if it is ready.
  for (let isRepeat = false; ; isRepeat = true) {
    try {
      const response = await askOnce(options, request, body);
      if (response === null) watch.lost();
      return response;
    } catch (error) {
      request.signal.throwIfAborted();
      if (calls.isClosed || !watch.isAlive || !(await watch.check())) return null;
      if (isRepeat) throw error;
    }
  }
}

async function askOnce(
  { calls, client, url, key }: GatewayFetchOptions,
  request: Request,
  body: Uint8Array | null,
): Promise<Response | null> {
  const { pathname, search } = new URL(request.url);
  const headers = new Headers(request.headers);
  for (const name of ['host', ...OF_THE_WIRE]) headers.delete(name);
  if (key !== null) {
    for (const name of ['x-api-key', 'api-key', 'x-goog-api-key']) headers.delete(name);
    headers.set('authorization', `Bearer ${key}`);
  }
  const call = calls.begin();
  const init = { method: request.method, headers, signal: AbortSignal.any([request.signal, call.signal]), ...(body !== null && { body }) };
  try {
    return await begun(await client.fetch(`${url}${pathname}${search}`, init), call);
  } catch (error) {
    call.end();
    throw error;
  }
}

/**
 * A response whose beginning has been received, and all of it unless it is a stream. Null: the gateway is going away. The call ends with the
 * response.
 */
async function begun(response: Response, call: GatewayCall): Promise<Response | null> {
  const headers = new Headers(response.headers);
  for (const name of OF_THE_WIRE) headers.delete(name);
  const { status } = response;
  if (response.headers.get('content-type')?.includes('text/event-stream') === true && response.body !== null) {
    const reader = response.body.getReader();
    reader.closed.catch(() => {}).finally(() => call.end());
    const first = await reader.read();
    return new Response(first.done ? '' : following(first.value, reader), { status, headers });
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  call.end();
  if (STAND_INS.has(status) && (!headers.has('x-request-id') || isShuttingDown(bytes))) return null;
  return new Response(BODILESS.has(status) ? null : bytes, { status, headers });
}

function isShuttingDown(body: Uint8Array): boolean {
  const parsed = parseOrUndefined(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  const error = isRecord(parsed) ? parsed['error'] : undefined;
  if (!isRecord(error)) return false;
  return error['code'] === 'shutting_down' || (typeof error['message'] === 'string' && SHUTTING_DOWN.test(error['message']));
}

function following(first: Uint8Array, reader: ReadableStreamDefaultReader<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(first),
    async pull(controller) {
      const next = await reader.read();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function unavailable(pathname: string): Response {
  const message = 'files, batches and stored responses are kept by the gateway, which does not answer';
  const { status, headers, body } = errorResponse(
    ERRORS[protocolOfPath(routePath(pathname) ?? pathname)],
    new BreakwaterError('store_unavailable', message, { retryAfterMs: RETRY_MS }),
    'library',
    null,
  );
  const named = new Headers();
  for (let i = 0; i + 1 < headers.length; i += 2) named.append(headers[i]!, headers[i + 1]!);
  return new Response(new Uint8Array(body), { status, headers: named });
}
