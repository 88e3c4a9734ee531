/** The request in the target's dialect, before it is edited for the target. */
import { convertRequest, speaks } from '../../wire/conversion.ts';
import type { ConvertedRequest } from '../../wire/conversion.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { TargetState } from '../route/route.ts';

export type Converted = Extract<ConvertedRequest, { ok: true }>;

/** True if the target has a different dialect than the caller. */
export function isConverted({ dialect, facts }: GatewayRequest, state: TargetState): boolean {
  return facts.operation === 'chat' && !speaks(dialect, state);
}

/** The converted request; null: sent without conversion. */
export function conversionFor(request: GatewayRequest, state: TargetState): Converted | null {
  if (!isConverted(request, state)) return null;
  const converted = convertRequest(request.dialect, callerBody(request, state), request.facts.stream, state.wire);
  return converted.ok ? converted : null;
}

/** The request for this target, in the caller's dialect. */
export function callerBody(request: GatewayRequest, state: TargetState): RequestBody {
  const { history, body, dialect } = request;
  return history === undefined || (history.maker === state.name && speaks(dialect, state)) ? body : history.body;
}

export function sentBody(request: GatewayRequest, state: TargetState): RequestBody {
  return conversionFor(request, state)?.body ?? callerBody(request, state);
}
