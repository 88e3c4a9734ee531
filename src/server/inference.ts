/** The hot path: a request for a model, from its first byte to the engine. */
import { BreakwaterError } from '../core/errors.ts';
import type { Instant } from '../core/clock.ts';
import type { RequestFacts, SchedulingClass } from '../core/request.ts';
import type { Config } from '../gateway/config/index.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { agentRoleOf, isSideRole } from '../wire/agent-role.ts';
import { programOf } from '../wire/clients.ts';
import { modelNamesIn, type ModelNames } from '../wire/model-names.ts';
import type { DecodedRequest, Dialect, PathFacts } from '../wire/dialect.ts';
import type { RequestBody } from '../wire/request-body.ts';
import { FORWARDED_HEADERS } from '../wire/forwarded-headers.ts';
import { sessionKeyOf } from '../wire/session-headers.ts';
import { BodyAllowance, readDecodedBody } from './body.ts';
import type { Call } from './call.ts';
import { credentialHeaderOf } from './credential.ts';
import type { Exchange, ReceivedBody } from './exchange.ts';
import { decodeInSlices, joinBody } from './large-body.ts';
import { markSimulated } from './simulated-sink.ts';
import { choosePriority, readSettings, waitingOf, type RequestSettings } from './request-settings.ts';

/** By config: the headers that any of its providers takes. */
const forwardedBy = new WeakMap<object, readonly string[]>();

const none: readonly string[] = [];

/** The part of the room for bodies that each class leaves free for higher ones. */
export const byteReserve: Readonly<Record<SchedulingClass, number>> = { high: 0, normal: 1 / 8, low: 1 / 4, job: 1 / 4 };

/** Answers `POST /v1/chat/completions` and its like; `path` is the one below the provider's base URL. */
export function infer(dialect: Dialect, operation: 'chat' | 'completions' | 'embeddings', path: string) {
  return (call: Call): Promise<void> => {
    // Anthropic's SDK marks beta requests in the query.
    const query = dialect.protocol === 'anthropic' ? call.place.query : '';
    return withBody(call, (bytes, arrival) => decodeAndSubmit(call, { dialect, operation, path: path + query }, bytes, arrival));
  };
}

export interface Inference {
  readonly dialect: Dialect;
  readonly operation: 'chat' | 'completions' | 'embeddings';
  /** The one below the provider's base URL. */
  readonly path: string;
  /** What the caller's path says. Default: nothing. */
  readonly pathFacts?: PathFacts;
  readonly history?: GatewayRequest['history'];
  readonly wrap?: Submission['wrap'];
}

export function decodeAndSubmit(call: Call, asked: Inference, bytes: Uint8Array, arrival: Arrival): Promise<void> {
  const decoded = decodeBody(call, asked, bytes);
  return decoded instanceof Promise
    ? decoded.then((found) => submitDecoded(call, asked, found, arrival))
    : submitDecoded(call, asked, decoded, arrival);
}

/** A promise only for a large body. */
export function decodeBody(
  call: Call,
  { dialect, operation, pathFacts }: Inference,
  bytes: Uint8Array,
): DecodedRequest | Promise<DecodedRequest> {
  return decodeInSlices(dialect, operation, bytes, call.gateway.slices, pathFacts);
}

/** Throws `invalid_request` for a body that is none of its dialect. */
export function requireDecoded(decoded: DecodedRequest): SoundRequest {
  if (decoded.ok) return decoded;
  throw new BreakwaterError('invalid_request', decoded.message, decoded.param === null ? {} : { param: decoded.param });
}

/** Throws `invalid_request`, `model_not_allowed`. */
export function requireSound(call: Call, decoded: DecodedRequest): SoundRequest {
  const sound = requireDecoded(decoded);
  const { facts, body } = sound;
  requireModel(call, facts.model);
  if (call.client!.isLimited) requireModels(call, modelNamesIn(body.bytes, body.members));
  return sound;
}

export type SoundRequest = Extract<DecodedRequest, { ok: true }>;

export function submitDecoded(call: Call, asked: Inference, decoded: DecodedRequest, arrival: Arrival): Promise<void> {
  const { facts, body } = requireSound(call, decoded);
  const { dialect, path, history, wrap } = asked;
  return submit(call, { dialect, facts, body, path, history, wrap, ...arrival });
}

export interface Arrival {
  readonly receivedAt: Instant;
  readonly settings: RequestSettings;
}

interface Submission extends Arrival {
  readonly dialect: Dialect;
  readonly facts: RequestFacts;
  readonly body: RequestBody;
  readonly path: string;
  readonly history?: GatewayRequest['history'];
  /** Stands between the engine and the caller. */
  readonly wrap?: ((sink: ResponseSink) => ResponseSink) | undefined;
}

/** Reads settings and body, lets `run` go on, and gives the room for the body back on every path. */
export async function withBody(call: Call, run: (bytes: Uint8Array, arrival: Arrival) => Promise<void>): Promise<void> {
  const { app, gateway, exchange } = call;
  const receivedAt = gateway.clock.now();
  const settings = readSettings(exchange, gateway.config.policy);
  // A deadline of the caller's own bounds its upload too; the policy's may depend on the model, which is not known yet.
  const endsAt = settings.deadlineGiven ? receivedAt + settings.deadlineMs : Infinity;
  const reserve = byteReserve[settings.priority ?? call.client!.priority];
  const allowance = new BodyAllowance(gateway, exchange, { holder: call.holder, reserve, endsAt }, app.stalls);
  try {
    allowance.watch();
    let body: ReceivedBody;
    try {
      body = await readDecodedBody(exchange, allowance, app.decoders);
    } finally {
      allowance.unwatch();
    }
    await run(body instanceof Uint8Array ? body : await joinBody(body, gateway.slices), { receivedAt, settings });
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

/** The same for every other model that the body names: some providers choose among them. */
export function requireModels(call: Call, { names, unreadable }: ModelNames): void {
  for (const name of names) requireModel(call, name);
  if (unreadable === null) return;
  throw new BreakwaterError('model_not_allowed', `this API key may not use every model, and '${unreadable}' is too large to be checked`, {
    param: unreadable,
  });
}

/** Hands the request to the engine, which ends the exchange whatever happens. */
export function submit(call: Call, { dialect, facts, body, path, history, wrap, receivedAt, settings }: Submission): Promise<void> {
  const { exchange } = call;
  const client = call.client!;
  const program = programOf(exchange);
  const sessionKey = sessionKeyOf(exchange, facts.cacheKey);
  const role = agentRoleOf(exchange, program, sessionKey !== null);
  const waiting = waitingOf(settings, facts.stream && facts.operation !== 'bytes');
  const request: GatewayRequest = {
    id: call.id,
    dialect,
    path,
    method: exchange.method,
    facts,
    body,
    client,
    program,
    priority: choosePriority(settings.priority, facts, client, role, call.gateway.config.policy.agents),
    receivedAt,
    deadline: receivedAt + waiting.deadlineMs,
    deadlineGiven: waiting.deadlineGiven,
    keepAliveMaxMs: waiting.keepAliveMaxMs,
    fallback: settings.fallback,
    callerCredential: call.credential,
    callerCredentialHeader: credentialHeaderOf(exchange, call.credential),
    isSide: role !== null && isSideRole(role),
    sessionKey,
    forwardHeaders: forwardHeadersOf(exchange, forwardedIn(call.gateway.config)),
    caller: exchange,
    idempotencyKey: settings.idempotencyKey,
    cache: settings.cache,
    unknownHeaders: settings.unknownHeaders,
    history,
  };
  call.handedOver = true;
  const sink = call.app.simulated ? markSimulated(exchange) : exchange;
  return call.gateway.handle(request, wrap?.(sink) ?? sink);
}

function forwardedIn(config: Config): readonly string[] {
  let names = forwardedBy.get(config);
  if (names === undefined) {
    const ofProviders = Object.values(config.providers).flatMap(({ forwardHeaders }) => forwardHeaders);
    forwardedBy.set(config, (names = [...new Set([...FORWARDED_HEADERS, ...ofProviders])]));
  }
  return names;
}

function forwardHeadersOf(exchange: Exchange, names: readonly string[]): readonly string[] {
  let headers: string[] | null = null;
  for (const name of names) {
    const value = exchange.header(name);
    if (value !== undefined) (headers ??= []).push(name, value);
  }
  return headers ?? none;
}
