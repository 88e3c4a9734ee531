import type { Instant } from '../../core/clock.ts';
import { bodyOf, headersOf, pathOf } from '../attempt/upstream-request.ts';
import { whyIncapable } from '../conversion/capability.ts';
import { conversionFor } from '../conversion/sent-body.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { RouteTarget } from '../route/route.ts';
import { learnedRepairs } from './repair.ts';

export interface EncodedRequest {
  readonly path: string;
  /** Names alternating with values. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** A request as the first attempt on the target would send it. Null: the target can't carry it. */
export function encodeRequest(request: GatewayRequest, target: RouteTarget, now: Instant): EncodedRequest | null {
  if (whyIncapable(request, target) !== null) return null;
  const conversion = conversionFor(request, target.state);
  const options = { request, target, conversion, repairs: learnedRepairs(request, target, now), cut: null, spanId: null };
  const body = bodyOf(options);
  if (body === null) return null;
  return { path: pathOf(options), headers: headersOf(options), body: body instanceof Uint8Array ? body : Buffer.concat(body) };
}
