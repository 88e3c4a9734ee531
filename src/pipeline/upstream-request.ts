/** What is sent to a target for a request. */
import type { Clock } from '../core/clock.ts';
import type { Failure } from '../core/facts.ts';
import type { Repair } from '../policy/repair/repair.ts';
import { ResponseConversion } from '../wire/conversion.ts';
import { DIALECT_HEADERS } from '../wire/forwarded-headers.ts';
import { replaceModel } from '../wire/passed-body.ts';
import { ResponseForm } from './answer-form.ts';
import type { AttemptOptions } from './attempt-options.ts';
import type { GatewayRequest } from './gateway-request.ts';
import { editsFor } from './retry/edits.ts';
import { conversionFor, isConverted, sentBody } from './sent-body.ts';
import type { RouteTarget } from './route.ts';

interface UpstreamRequest {
  readonly request: GatewayRequest;
  readonly target: RouteTarget;
  readonly repairs: readonly Repair[];
}

/** The body for the target: the original bytes with only the permitted edits; null: none. */
export function bodyOf(options: UpstreamRequest): Uint8Array | readonly Uint8Array[] | null {
  const { request, target, repairs } = options;
  const { facts, body } = request;
  if (facts.operation === 'bytes') {
    if (body.bytes.byteLength === 0) return null;
    return facts.model === '' ? body.bytes : replaceModel(body, target.state.model);
  }
  return target.state.wire.dialect.request.edit(sentBody(request, target.state), editsFor(request, target, repairs));
}

/** Path and query of the call. */
export function pathOf({ request, target: { state } }: Pick<UpstreamRequest, 'request' | 'target'>): string {
  const { operation } = request.facts;
  return state.endpoint.path(state.basePath, { operation, path: isConverted(request, state) ? null : request.path });
}

export function headersOf({ request, target }: UpstreamRequest): readonly string[] {
  const { state } = target;
  const headers = [...state.headers];
  const isOther = isConverted(request, state);
  if (request.body.bytes.byteLength > 0) headers.push('content-type', request.body.contentType ?? 'application/json');
  if (state.credential.auth !== 'caller') for (const part of state.credential.auth) headers.push(part);
  else if (request.callerCredential !== null) pushCallerCredential(headers, request.callerCredential, request, target, isOther);
  for (let i = 0; i < request.forwardHeaders.length; i += 2) {
    const name = request.forwardHeaders[i]!;
    if (state.forwards.has(name) && !(isOther && DIALECT_HEADERS.has(name))) headers.push(name, request.forwardHeaders[i + 1]!);
  }
  addDefaults(headers, state.endpoint.defaultHeaders);
  return headers;
}

function pushCallerCredential(
  headers: string[],
  credential: string,
  request: GatewayRequest,
  { state }: RouteTarget,
  isOther: boolean,
): void {
  const name = state.endpoint.credentialHeader(credential, isOther ? null : (request.callerCredentialHeader ?? 'authorization'));
  headers.push(name, name === 'authorization' ? `Bearer ${credential}` : credential);
}

/** In which form the caller wants the response. An attempt that goes on with a broken one is held back for no quality of its own. */
export function responseForm(options: AttemptOptions, clock: Clock): ResponseForm {
  const { request, target, isOnward } = options;
  const { stream } = target.policy;
  const quality = isOnward ? null : target.quality;
  return new ResponseForm(request.dialect, request.facts, request.path, stream.maxEventSize, quality, responseConversion(options, clock));
}

/** How responses come back into the caller's dialect; null: they are in it. */
function responseConversion({ request, target: { state } }: UpstreamRequest, clock: Clock): ResponseConversion | null {
  const converted = conversionFor(request, state);
  if (converted === null) return null;
  return new ResponseConversion(state.wire.dialect, request.dialect, {
    id: request.id,
    model: request.facts.model,
    createdAt: Math.floor(clock.epochMs() / 1000),
    // A stream for a caller of a whole response is folded into one, which always reports its usage.
    includeUsage: request.facts.wantsUsage || !request.facts.stream,
    tools: converted.tools,
    echo: {},
  });
}

/** `no connection to https://api.example.com: the host name is unknown …` */
export function namingHost(failure: Failure, origin: string): Failure {
  return { ...failure, message: failure.message.replace(/^no connection\b/, `no connection to ${origin}`) };
}

function addDefaults(headers: string[], defaults: readonly string[]): void {
  for (let i = 0; i < defaults.length; i += 2) if (!isNamed(headers, defaults[i]!)) headers.push(defaults[i]!, defaults[i + 1]!);
}

function isNamed(headers: readonly string[], name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true;
  return false;
}
