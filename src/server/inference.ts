/** The hot path: a model request from its first byte to the engine. */
import { BreakwaterError } from '../core/errors.ts';
import type { Instant } from '../core/clock.ts';
import type { RequestFacts, SchedulingClass } from '../core/request.ts';
import type { Config } from '../gateway/config/index.ts';
import { MODEL_LENGTH_MAX } from '../gateway/gateway-errors.ts';
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
import { decodeInSlices, joinBody, withPathModel } from './large-body.ts';
import { markSimulated } from './simulated-sink.ts';
import { choosePriority, readSettings, waitingOf, type RequestSettings } from './request-settings.ts';

/** By config: the headers that are forwarded to any of its providers. */
const forwardedBy = new WeakMap<object, readonly string[]>();

const none: readonly string[] = [];

/** The share of the body memory that each class leaves free for higher ones. */
export const byteReserve: Readonly<Record<SchedulingClass, number>> = { high: 0, normal: 1 / 8, low: 1 / 4, job: 1 / 4 };

/** The handler of `POST /v1/chat/completions` and similar paths; `path` is relative to the provider's base URL. */
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
  /** Relative to the provider's base URL. */
  readonly path: string;
  /** Facts from the caller's path. Default: none. */
  readonly pathFacts?: PathFacts;
  readonly history?: GatewayRequest['history'];
  readonly wrap?: Submission['wrap'];
}

export function decodeAndSubmit(call: Call, inference: Inference, bytes: Uint8Array, arrival: Arrival): Promise<void> {
  const decoded = decodeBody(call, inference, bytes);
  return decoded instanceof Promise
    ? decoded.then((found) => submitDecoded(call, inference, found, arrival))
    : submitDecoded(call, inference, decoded, arrival);
}

/** Returns a promise only for a large body. */
export function decodeBody(
  call: Call,
  { dialect, operation, pathFacts }: Inference,
  bytes: Uint8Array,
): DecodedRequest | Promise<DecodedRequest> {
  return decodeInSlices(dialect, operation, bytes, call.gateway.slices, pathFacts);
}

/** Throws `invalid_request` for a body that is invalid in its dialect. */
export function requireDecoded(decoded: DecodedRequest): SoundRequest {
  if (decoded.ok) return decoded;
  throw new BreakwaterError('invalid_request', decoded.message, decoded.param === null ? {} : { param: decoded.param });
}

/** Checks the body and its models. Throws `invalid_request`, `model_not_allowed`. */
export function requireSound(call: Call, decoded: DecodedRequest): SoundRequest {
  const sound = requireDecoded(decoded);
  const { facts, body } = sound;
  requireModel(call, facts.model);
  if (call.client!.isLimited) requireModels(call, modelNamesIn(body.bytes, body.members));
  return sound;
}

export type SoundRequest = Extract<DecodedRequest, { ok: true }>;

export function submitDecoded(call: Call, inference: Inference, decoded: DecodedRequest, arrival: Arrival): Promise<void> {
  const { facts, body } = requireSound(call, decoded);
  const { dialect, path, history, wrap } = inference;
  return submit(call, { dialect, facts, body, path, history, wrap, receivedAt: arrival.receivedAt, settings: arrival.settings });
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
  /** Wraps the sink of the response. */
  readonly wrap?: ((sink: ResponseSink) => ResponseSink) | undefined;
}

/** Reads settings and body, calls `run`, and releases the memory of the body on every path. */
export async function withBody(call: Call, run: (bytes: Uint8Array, arrival: Arrival) => Promise<void>): Promise<void> {
  const { app, gateway, exchange } = call;
  const receivedAt = gateway.clock.now();
  const settings = readSettings(exchange, gateway.config.policy);
  // A deadline of the caller also applies to its upload; that of the policy may depend on the model, which is not known yet.
  const endsAt = settings.deadlineGiven ? receivedAt + settings.deadlineMs : Infinity;
  const reserve = byteReserve[settings.priority ?? call.client!.priority];
  const allowance = new BodyAllowance(gateway, exchange, { holder: call.holder, reserve, endsAt }, app.stalls, receivedAt);
  try {
    allowance.watch();
    let body: ReceivedBody;
    try {
      body = await readDecodedBody(exchange, allowance, app.decoders);
    } finally {
      allowance.unwatch();
    }
    const bytes = body instanceof Uint8Array ? body : await joinBody(body, gateway.slices);
    const { deployment } = call.place;
    await run(deployment === undefined ? bytes : await withPathModel(bytes, deployment, gateway.slices), { receivedAt, settings });
  } finally {
    allowance.release();
  }
}

/** Throws `model_not_allowed` if the client may not use the model. */
export function requireModel(call: Call, model: string): void {
  if (call.client!.mayUse(model)) return;
  call.rejectedModel = model.slice(0, MODEL_LENGTH_MAX);
  throw new BreakwaterError('model_not_allowed', `this API key may not use the model ${JSON.stringify(model.slice(0, 200))}`, {
    param: 'model',
  });
}

/** The same for every other model in the body, since some providers choose among several. */
export function requireModels(call: Call, { names, unreadable }: ModelNames): void {
  for (const name of names) requireModel(call, name);
  if (unreadable === null) return;
  throw new BreakwaterError(
    'model_not_allowed',
    `this API key is limited to certain models, and '${unreadable}' is too large to be checked`,
    {
      param: unreadable,
    },
  );
}

/** Passes the request to the engine, which ends the exchange in every case. */
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
