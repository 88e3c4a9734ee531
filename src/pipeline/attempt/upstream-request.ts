/** Builds the upstream request for a target. */
import type { Clock } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import { valueIn } from '../../core/headers.ts';
import type { BodyRules } from '../../endpoint/endpoint.ts';
import type { Repair } from '../../policy/repair/repair.ts';
import { ResponseConversion } from '../../wire/conversion.ts';
import type { RequestEdits } from '../../wire/dialect.ts';
import { DIALECT_HEADERS, TRACE_HEADERS } from '../../wire/forwarded-headers.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import { replaceModel } from '../../wire/passthrough-body.ts';
import { ResponseForm } from './response-form.ts';
import { maskFailure } from './response-mask.ts';
import type { AttemptOptions } from './attempt-options.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { BodyCut } from '../opaque/pieces.ts';
import { editsFor, leftOut, memberOf } from './edits.ts';
import type { RouteTarget } from '../route/route.ts';
import { callerBody } from '../conversion/sent-body.ts';
import type { Converted } from '../conversion/sent-body.ts';

interface UpstreamRequest {
  readonly request: GatewayRequest;
  readonly target: RouteTarget;
  readonly conversion: Converted | null;
  readonly repairs: readonly Repair[];
  readonly cut: BodyCut | null;
}

/** The body for the target: the original bytes with only the permitted edits; null: no body. */
export function bodyOf(options: UpstreamRequest): Uint8Array | readonly Uint8Array[] | null {
  const { request, target, conversion, repairs, cut } = options;
  const { facts, body } = request;
  const rules = target.state.endpoint.body;
  if (facts.operation === 'bytes') {
    if (body.bytes.byteLength === 0) return null;
    if (cut !== null || (rules !== undefined && body.members.length > 0)) {
      const { drop = [], cuts = [] } = cut ?? {};
      return request.dialect.request.edit(body, { model: target.state.model, set: rules?.set ?? {}, drop, cuts });
    }
    return facts.model === '' ? body.bytes : replaceModel(body, target.state.model);
  }
  const dialect = conversion === null ? request.dialect : target.state.wire.dialect;
  const sent = conversion?.body ?? callerBody(request, target.state);
  const edits = editsFor(request, target, repairs, cut);
  return dialect.request.edit(sent, rules === undefined ? edits : ruledEdits(options, sent, edits, rules));
}

/** The edits together with what the endpoint needs otherwise; what the caller or the route sets of it stays. */
function ruledEdits(options: UpstreamRequest, sent: RequestBody, edits: RequestEdits, { omit, set, listHeader }: BodyRules): RequestEdits {
  const missing = Object.entries(set).filter(([name]) => memberOf(sent, name) === undefined);
  const moved = listHeader === null ? [] : listOf(forwardedValue(options, listHeader.header));
  const list = listHeader === null || moved.length === 0 ? {} : { [listHeader.member]: moved };
  return { ...edits, omit, set: { ...Object.fromEntries(missing), ...list, ...edits.set } };
}

function listOf(value: string): readonly string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The value that is sent of a caller's header; empty: it is not sent. */
function forwardedValue(options: UpstreamRequest, name: string): string {
  const { request, target, conversion } = options;
  const at = request.forwardHeaders.findIndex((found, i) => i % 2 === 0 && found === name);
  if (at === -1 || !target.state.forwards.has(name) || (conversion !== null && DIALECT_HEADERS.has(name))) return '';
  const value = request.forwardHeaders[at + 1]!;
  return name === request.dialect.request.tied?.name ? tiedValue(options, value) : value;
}

/** Path and query of the call. */
export function pathOf({ request, target: { state }, conversion }: UpstreamRequest): string {
  const { operation, stream } = request.facts;
  const path = conversion === null ? request.path : null;
  const dialect = (conversion === null ? request.dialect : state.wire.dialect).name;
  return state.endpoint.path(state.basePath, { operation, dialect, path, model: state.model, stream });
}

export function headersOf(options: UpstreamRequest & Pick<AttemptOptions, 'spanId'>): readonly string[] {
  const { request, target, conversion, spanId } = options;
  const { state } = target;
  const headers = [...state.headers];
  const inBody = state.endpoint.body?.listHeader?.header;
  if (request.body.bytes.byteLength > 0) headers.push('content-type', request.body.contentType ?? 'application/json');
  if (state.credential.auth !== 'caller') for (const part of state.credential.auth) headers.push(part);
  else if (request.callerCredential !== null) pushCallerCredential(headers, request.callerCredential, options);
  for (let i = 0; i < request.forwardHeaders.length; i += 2) {
    const name = request.forwardHeaders[i]!;
    if (!state.forwards.has(name) || name === inBody || (conversion !== null && DIALECT_HEADERS.has(name))) continue;
    if (spanId !== null && TRACE_HEADERS.has(name)) continue;
    const value = request.forwardHeaders[i + 1]!;
    const sent = name === request.dialect.request.tied?.name ? tiedValue(options, value) : value;
    if (sent !== '') headers.push(name, sent);
  }
  if (spanId !== null) request.trace?.pushHeaders(headers, spanId);
  addDefaults(headers, state.endpoint.defaultHeaders);
  return headers;
}

/** The value of a header that names members of the body, without those removed from the body. */
function tiedValue({ request, target, repairs, cut }: UpstreamRequest, value: string): string {
  const names = request.facts.operation === 'bytes' ? (cut?.drop ?? []) : leftOut(request, target, repairs, cut);
  if (names.length === 0) return value;
  const isSent = (name: string): boolean => !names.includes(name) && memberOf(request.body, name) !== undefined;
  return request.dialect.request.tied!.valueFor(value, names, isSent);
}

/** Uses the header the credential was received in, unless the request is converted. */
function pushCallerCredential(headers: string[], credential: string, { request, target, conversion }: UpstreamRequest): void {
  const given = conversion === null ? (request.callerCredentialHeader ?? 'authorization') : null;
  const name = target.state.endpoint.credentialHeader(credential, given);
  headers.push(name, name === 'authorization' ? `Bearer ${credential}` : credential);
}

/** The form of the response that the caller asked for. A continuation is not held back for quality checks. */
export function responseForm(options: AttemptOptions, clock: Clock): ResponseForm {
  const { request, target, isContinuation, owner } = options;
  const { maxEventSize } = target.policy.stream;
  const quality = isContinuation ? null : target.quality;
  const conversion = responseConversion(options, clock);
  return new ResponseForm(request.dialect, request.facts, request.path, maxEventSize, quality, conversion, owner.secrets.scan);
}

/** Converts responses into the caller's dialect; null: they already are in it. */
function responseConversion({ request, target: { state }, conversion }: UpstreamRequest, clock: Clock): ResponseConversion | null {
  if (conversion === null) return null;
  return new ResponseConversion(state.wire.dialect, request.dialect, {
    id: request.id,
    model: request.facts.model,
    createdAt: Math.floor(clock.epochMs() / 1000),
    // A stream for a non-streaming caller is folded into one response, which always reports its usage.
    includeUsage: request.facts.wantsUsage || !request.facts.stream,
    tools: conversion.tools,
    echo: request.history === undefined ? conversion.echo : { ...conversion.echo, previous_response_id: request.history.previous },
  });
}

/** The failure as it is shown: secrets masked, and the provider's address in `no connection to https://api.example.com: the host name …`. */
export function shownFailure(found: Failure, { request, target: { state }, owner }: AttemptOptions): Failure {
  const message = found.phase === 'connect' ? found.message.replace(/^no connection\b/, `no connection to ${state.origin}`) : found.message;
  const named = message === found.message ? found : { ...found, message };
  return maskFailure(named, owner.secrets, state.credential.auth === 'caller' ? request.callerCredential : null);
}

function addDefaults(headers: string[], defaults: readonly string[]): void {
  for (let i = 0; i < defaults.length; i += 2) if (valueIn(headers, defaults[i]!) === null) headers.push(defaults[i]!, defaults[i + 1]!);
}
