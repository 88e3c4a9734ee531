/** The hot path: a request for a model, from its first byte to the engine. */
import { BreakwaterError } from '../core/errors.ts';
import type { Instant } from '../core/clock.ts';
import type { RequestFacts } from '../core/request.ts';
import type { GatewayRequest } from '../pipeline/gateway-request.ts';
import { decodeRequest } from '../wire/openai-chat/decode-request.ts';
import type { RequestBody } from '../wire/request-body.ts';
import { sessionKeyOf } from '../wire/session-headers.ts';
import { BodyAllowance, readDecodedBody } from './body.ts';
import type { Call } from './call.ts';
import type { Exchange } from './exchange.ts';
import { markSimulated } from './simulated-sink.ts';
import { choosePriority, readSettings, type RequestSettings } from './request-settings.ts';

/** Request headers that travel on to the provider. Credentials and what belongs to one hop never do. */
const forwarded = [
  'openai-organization',
  'openai-project',
  'openai-beta',
  'anthropic-version',
  'anthropic-beta',
  'traceparent',
  'tracestate',
  'accept',
] as const;

const none: readonly string[] = [];

/** Answers `POST /v1/chat/completions` and its like; `path` is the one below the provider's base URL. */
export function infer(operation: 'chat' | 'completions' | 'embeddings', path: string) {
  return (call: Call): Promise<void> =>
    withBody(call, (bytes, arrival) => {
      const decoded = decodeRequest(operation, bytes);
      if (!decoded.ok)
        throw new BreakwaterError('invalid_request', decoded.message, decoded.param === null ? {} : { param: decoded.param });
      const { facts, body } = decoded;
      requireModel(call, facts.model);
      return submit(call, { facts, body, path, ...arrival });
    });
}

export interface Arrival {
  readonly receivedAt: Instant;
  readonly settings: RequestSettings;
}

interface Submission extends Arrival {
  readonly facts: RequestFacts;
  readonly body: RequestBody;
  readonly path: string;
}

/** Reads settings and body, lets `run` go on, and gives the room for the body back on every path. */
export async function withBody(call: Call, run: (bytes: Uint8Array, arrival: Arrival) => Promise<void>): Promise<void> {
  const { app, gateway, exchange } = call;
  const receivedAt = gateway.clock.now();
  const settings = readSettings(exchange, gateway.config.policy);
  const allowance = new BodyAllowance(gateway, exchange, receivedAt + settings.deadlineMs);
  try {
    // A deadline of the caller's own bounds its upload too; the policy's may be another for the model, which nobody knows yet.
    if (settings.deadlineGiven) app.uploads.add(allowance);
    let bytes: Uint8Array;
    try {
      bytes = await readDecodedBody(exchange, allowance);
    } finally {
      if (settings.deadlineGiven) app.uploads.remove(allowance);
    }
    await run(bytes, { receivedAt, settings });
  } finally {
    allowance.release();
  }
}

/** Throws `model_not_allowed` where the client's list leaves the model out. */
export function requireModel(call: Call, model: string): void {
  if (call.client!.mayUse(model)) return;
  throw new BreakwaterError('model_not_allowed', `this API key may not use the model ${JSON.stringify(model.slice(0, 200))}`, {
    param: 'model',
  });
}

/** Hands the request to the engine, which ends the exchange whatever happens. */
export function submit(call: Call, { facts, body, path, receivedAt, settings }: Submission): Promise<void> {
  const { exchange } = call;
  const client = call.client!;
  const request: GatewayRequest = {
    id: call.id,
    protocol: call.protocol,
    path,
    method: exchange.method,
    facts,
    body,
    client,
    priority: choosePriority(settings.priority, facts, client),
    receivedAt,
    deadline: receivedAt + settings.deadlineMs,
    deadlineGiven: settings.deadlineGiven,
    fallback: settings.fallback,
    callerCredential: call.credential,
    sessionKey: sessionKeyOf(exchange, facts.cacheKey),
    forwardHeaders: forwardHeadersOf(exchange),
    caller: exchange,
    idempotencyKey: settings.idempotencyKey,
    cache: settings.cache,
    unknownHeaders: settings.unknownHeaders,
  };
  call.handedOver = true;
  return call.gateway.handle(request, call.app.simulated ? markSimulated(exchange) : exchange);
}

function forwardHeadersOf(exchange: Exchange): readonly string[] {
  let headers: string[] | null = null;
  for (const name of forwarded) {
    const value = exchange.header(name);
    if (value !== undefined) (headers ??= []).push(name, value);
  }
  return headers ?? none;
}
