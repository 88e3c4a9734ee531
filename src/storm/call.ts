/** Handles one call: routes it to an endpoint, checks its key and limits, selects faults and generates the response. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Accounts } from './accounts.ts';
import type { Call, Delivery } from './delivery.ts';
import { isFailure } from './dialect.ts';
import type { ParsedRequest, Dialect, Endpoint, Failure, Received } from './dialect.ts';
import type { Dialects } from './dialects.ts';
import type { FaultContext } from './fault-behaviour.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import type { FaultPlan } from './faults.ts';
import { generate } from './generate.ts';
import { toLimitFailure } from './limit-failure.ts';
import type { StormFault, StormOptions } from './options.ts';
import type { CallRecord, Tally } from './stats.ts';

export interface CallParts {
  options: StormOptions;
  models: readonly string[];
  dialects: Dialects;
  plan: FaultPlan;
  accounts: Accounts;
  tally: Tally;
  delivery: Delivery;
  clock: Clock;
}

/** Creates the handler of calls whose request has been received in full. */
export function createCallHandler(parts: CallParts): (received: Received, res: ServerResponse) => void {
  const { options, dialects, accounts, tally, delivery } = parts;
  const keys = options.apiKeys === undefined ? undefined : new Set(options.apiKeys);
  const models = options.strictModels === true ? new Set(parts.models) : undefined;

  return (received, res) => {
    const [dialect, endpoint] = route(dialects, received);
    const key = dialect.keyOf(received);
    const read: ParsedRequest | Failure =
      keys !== undefined && !keys.has(key) ? { reason: 'bad-key' } : parseRequest(endpoint, received, models);
    if (endpoint?.counted === false) {
      tally.countLookup(endpoint.label);
      sendLookup(dialect, read, res);
      return;
    }
    const call: Call = { dialect, record: begin(parts, endpoint, received, read), res };
    if (endpoint?.errorShape !== undefined) call.errorShape = endpoint.errorShape;
    if (isFailure(read)) {
      delivery.fail(call, read);
      return;
    }
    const account = accounts.of(dialect.limitsPerModel === true ? `${key}\n${read.model}` : key);
    if (account !== undefined) call.account = account;
    serve(parts, call, read, headerOf(received, 'x-storm-fault'));
  };
}

function route({ all, fallback }: Dialects, received: Received): [Dialect, Endpoint | undefined] {
  for (const dialect of all) {
    const endpoint = dialect.route(received);
    if (endpoint !== undefined) return [dialect, endpoint];
  }
  return [all.find((dialect) => dialect.claims(received.path)) ?? fallback, undefined];
}

function parseRequest(endpoint: Endpoint | undefined, received: Received, models: Set<string> | undefined): ParsedRequest | Failure {
  if (endpoint === undefined) return { reason: 'not-found', message: `Invalid URL (${received.method} ${received.path})` };
  const request = endpoint.read(received);
  if (isFailure(request) || !endpoint.counted || models === undefined) return request;
  return models.has(request.model) || request.model.startsWith('fault-') ? request : { reason: 'no-model', model: request.model };
}

function begin(
  { options, tally }: CallParts,
  endpoint: Endpoint | undefined,
  received: Received,
  read: ParsedRequest | Failure,
): CallRecord {
  const asked = isFailure(read) ? undefined : read;
  const tag = headerOf(received, 'x-storm-tag');
  const record = tally.begin(endpoint?.label ?? 'other', asked?.model ?? '', tag, asked?.stream ?? false);
  const { keepBodies = 0 } = options;
  if (keepBodies > 0) {
    record.headers = received.headers;
    record.body = received.body;
    const old = tally.find(record.call - keepBodies);
    delete old?.headers;
    delete old?.body;
  }
  return record;
}

/** Sends a lookup (such as a model list): not counted as a call, not rate limited. */
function sendLookup(dialect: Dialect, read: ParsedRequest | Failure, res: ServerResponse): void {
  if (isFailure(read)) {
    const { status, contentType, body } = dialect.failure(read);
    res.writeHead(status, { 'content-type': contentType }).end(body);
    return;
  }
  const { contentType, body } = read.body([], { call: 0, created: 0, name: '', seed: 0, usage: { input: 0, output: 0, reasoning: 0 } });
  res.writeHead(200, { 'content-type': contentType }).end(body);
}

/** Applies limits first, as providers do, then faults, then generates the response. */
function serve(parts: CallParts, call: Call, request: ParsedRequest, header: string | undefined): void {
  const { options, plan, tally, delivery, clock } = parts;
  const { record, account } = call;
  const refusal = account?.admit(clock.now(), countedTokens(request, options, call.dialect), request.inputTokens);
  tally.recordAdmission(record, refusal?.by);
  if (refusal !== undefined) {
    delivery.fail(call, toLimitFailure(refusal, request.model, options.limits?.hints ?? 'both', call.dialect.waits));
    return;
  }
  call.admitted = true;
  const sinceMs = tally.sinceMs();
  const faults = plan.pick({ call: record.call, model: request.model, header, sinceMs });
  if (typeof faults === 'string') {
    delivery.fail(call, { reason: 'invalid', message: faults });
    return;
  }
  if (faults.length > 0) record.fault = faults.map(({ kind }) => kind).join('+');
  const { model, stream, fields } = request;
  const context: FaultContext = { dialect: call.dialect, model, call: record.call, epochMs: clock.epochMs(), stream, fields };
  record.inputTokens = request.inputTokens;
  for (const fault of faults) {
    const failure = FAULT_KINDS[fault.kind].refuse?.(fault, context);
    if (failure === undefined) continue;
    delivery.fail(call, withOverrides(failure, fault));
    return;
  }
  const { script, tokens, sent } = generate(request, context, faults, inPhase(options, request, sinceMs));
  record.outputTokens = tokens;
  if (sent !== undefined) call.sent = sent;
  delivery.send(call, script);
}

/** The options with the timing of the phase that applies. */
function inPhase(options: StormOptions, { model, stream }: ParsedRequest, sinceMs: number): StormOptions {
  const phase = options.phases?.findLast(
    ({ models, from = 0, until = Infinity }) => models?.includes(model) !== false && sinceMs >= from && sinceMs < until,
  );
  if (phase === undefined) return options;
  const { timing, nonStreaming = timing } = phase;
  return { ...options, timing: { ...options.timing, ...(stream ? timing : nonStreaming) } };
}

function countedTokens(request: ParsedRequest, { limits }: StormOptions, dialect: Dialect): number {
  const countsOutput = limits?.countOutput ?? dialect.countsInputOnly !== true;
  return request.inputTokens + (countsOutput ? (request.outputLimit ?? 0) : 0);
}

/** Settings of the fault override the defaults of its kind. */
function withOverrides(failure: Failure, fault: StormFault): Failure {
  const headers = { ...failure.headers };
  if (fault.retryAfter !== undefined) headers['retry-after'] = String(fault.retryAfter);
  if (fault.retryAfterMs !== undefined) headers['retry-after-ms'] = String(fault.retryAfterMs);
  const result: Failure = { ...failure, headers };
  if (fault.status !== undefined) result.status = fault.status;
  if (fault.message !== undefined) result.message = fault.message;
  if (fault.reason !== undefined) result.reason = fault.reason;
  if (fault.shape !== undefined) {
    result.shape = fault.shape;
    delete result.raw;
  }
  return result;
}

function headerOf({ headers }: Received, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
