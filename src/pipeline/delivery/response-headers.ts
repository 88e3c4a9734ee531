import type { HeaderPairs } from '../../core/headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { requestIdHeaders } from './error-response.ts';
import { droppedFields } from '../retry/repair.ts';
import type { RouteTarget } from '../route/route.ts';
import { addCountHeaders } from './output.ts';
import type { Output } from './output.ts';
import { accountHeaders, headerOf, pushPassedHeaders } from '../attempt/upstream-headers.ts';

/** What every answer says of its way here (design 2.3); `target`: who answered, null: nobody. */
export function wayHeaders(output: Output, target: RouteTarget | null): HeaderPairs {
  const headers = requestIdHeaders(output.active.request.dialect.error, output.active.request.id);
  if (target !== null) headers.push('x-breakwater-target', target.state.name);
  addCountHeaders(headers, output);
  const fallback = target === null ? null : output.retry.fallbackFor(target);
  if (fallback !== null) headers.push('x-breakwater-fallback', fallback);
  if (output.active.engine.simulated) headers.push('x-breakwater-simulated', 'true');
  return headers;
}

/** The headers of a provider's answer, as far as they are known when it is committed. */
export function answerHeaders(output: Output, attempt: Attempt): HeaderPairs {
  const headers = wayHeaders(output, attempt.options.target);
  pushOwnHeaders(headers, output, attempt);
  return headers;
}

/** The same without what they say of its way here. */
export function ownHeaders(output: Output, attempt: Attempt): HeaderPairs {
  const headers: HeaderPairs = [];
  pushOwnHeaders(headers, output, attempt);
  return headers;
}

function pushOwnHeaders(headers: HeaderPairs, output: Output, attempt: Attempt): void {
  const { facts } = output.active.request;
  const isBytes = facts.operation === 'bytes';
  const { secrets } = output.active;
  const type = headerOf(attempt.headers, 'content-type');
  const given = type === null ? null : secrets.text(type);
  const contentType = isBytes ? given : contentTypeOf(given, facts.stream);
  if (contentType !== null) headers.push('content-type', contentType);
  if (facts.stream && !isBytes) headers.push('cache-control', 'no-cache', 'x-accel-buffering', 'no');
  pushUpstreamId(headers, attempt.upstreamId);
  pushDropped(headers, attempt);
  pushPassedHeaders(headers, attempt.headers, isBytes, secrets);
  if (attempt.options.target.state.credential.auth === 'caller') headers.push(...accountHeaders(attempt.headers));
}

/** The caller's fields that the target does not take. */
function pushDropped(to: HeaderPairs, attempt: Attempt): void {
  const dropped = droppedFields(attempt);
  if (dropped.length > 0) to.push('x-breakwater-dropped', dropped.join(', '));
}

/** The provider's own id of the request, by which its support finds it. */
export function pushUpstreamId(to: HeaderPairs, upstreamId: string | null): void {
  if (upstreamId !== null) to.push('x-upstream-request-id', upstreamId);
}

/** The provider's own, unless it does not say what the answer was read as: SDKs go by it. */
function contentTypeOf(given: string | null, isStream: boolean): string {
  const fitting = isStream ? 'text/event-stream' : 'json';
  return given !== null && given.toLowerCase().includes(fitting) ? given : isStream ? 'text/event-stream' : 'application/json';
}

/** What all calls of the request cost, once the last of them has ended. */
export function addCostHeader(to: HeaderPairs, { active: { spending } }: Output): void {
  if (spending.costUsd !== null) to.push('x-breakwater-cost-usd', String(Number(spending.costUsd.toPrecision(6))));
}

/** The same, told in a stream whose headers had to go out before it was known. */
export function wayComment(output: Output, target: RouteTarget, dropped: readonly string[] = []): string {
  const fallback = output.retry.fallbackFor(target);
  const way = `breakwater target=${target.state.name} attempts=${output.retry.attempts}${fallback === null ? '' : ` fallback=${fallback}`}`;
  return dropped.length === 0 ? way : `${way} dropped=${dropped.join(',')}`;
}

/** The same for the answer of `attempt`. */
export function attemptComment(output: Output, attempt: Attempt): string {
  return wayComment(output, attempt.options.target, droppedFields(attempt));
}
