/** The request as the target's dialect has it, before it is edited for the target. */
import { convertRequest } from '../wire/conversion.ts';
import type { ConvertedRequest } from '../wire/conversion.ts';
import type { RequestBody } from '../wire/request-body.ts';
import type { GatewayRequest } from './gateway-request.ts';
import type { TargetState } from './route.ts';

type Converted = Extract<ConvertedRequest, { ok: true }>;

/** True if the target speaks another dialect than the caller. */
export function isConverted({ dialect, facts }: GatewayRequest, { wire }: TargetState): boolean {
  return wire.dialect !== dialect && facts.operation === 'chat';
}

/** Null: the target speaks the caller's dialect. Throws for a request that the target can't be asked for. */
export function conversionFor(request: GatewayRequest, state: TargetState): Converted | null {
  if (!isConverted(request, state)) return null;
  const converted = convertRequest(request.dialect, request.body, request.facts.stream, state.wire);
  if (!converted.ok) throw new Error(`${state.name} was asked for what it can't be: ${converted.message}`);
  return converted;
}

export function sentBody(request: GatewayRequest, state: TargetState): RequestBody {
  return conversionFor(request, state)?.body ?? request.body;
}
