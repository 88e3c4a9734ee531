/** What is sent to a target for a request. */
import type { Failure } from '../core/facts.ts';
import type { Repair } from '../policy/repair/repair.ts';
import { encodePieces } from '../wire/edit-request.ts';
import { replaceModel } from '../wire/passed-body.ts';
import type { GatewayRequest } from './gateway-request.ts';
import { editsFor } from './retry/edits.ts';
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
  return encodePieces(body, editsFor(request, target, repairs));
}

export function headersOf({ request, target }: UpstreamRequest): readonly string[] {
  const { state } = target;
  const headers = [...state.headers];
  if (request.body.bytes.byteLength > 0) headers.push('content-type', request.body.contentType ?? 'application/json');
  if (state.credential.auth !== 'caller') for (const part of state.credential.auth) headers.push(part);
  else if (request.callerCredential !== null) headers.push('authorization', `Bearer ${request.callerCredential}`);
  for (let i = 0; i < request.forwardHeaders.length; i += 2) {
    const name = request.forwardHeaders[i]!;
    if (state.forwards.has(name)) headers.push(name, request.forwardHeaders[i + 1]!);
  }
  return headers;
}

/** `no connection to https://api.example.com: the host name is unknown …` */
export function namingHost(failure: Failure, origin: string): Failure {
  return { ...failure, message: failure.message.replace(/^no connection\b/, `no connection to ${origin}`) };
}
