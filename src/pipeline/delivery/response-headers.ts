import type { HeaderPairs } from '../../core/headers.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { requestIdHeaders } from './error-response.ts';
import { droppedFields } from '../retry/repair.ts';
import type { RouteTarget } from '../route/route.ts';
import { addCountHeaders } from './output.ts';
import type { Output } from './output.ts';
import { accountHeaders, headerOf, pushPassedHeaders } from '../attempt/upstream-headers.ts';

/** The metadata headers of every response; `target`: the responding target, null: none. */
export function metadataHeaders(output: Output, target: RouteTarget | null): HeaderPairs {
  const { active } = output;
  const headers = requestIdHeaders(active.request.dialect.error, active.request.id);
  if (target !== null) headers.push('x-breakwater-target', target.state.name);
  addCountHeaders(headers, output);
  const fallback = target === null ? null : output.retry.fallbackFor(target);
  if (fallback !== null) headers.push('x-breakwater-fallback', fallback);
  if (active.engine.simulated) headers.push('x-breakwater-simulated', 'true');
  return headers;
}

/** The headers of a provider's response, as known when it is committed. */
export function answerHeaders(output: Output, attempt: Attempt): HeaderPairs {
  const headers = metadataHeaders(output, attempt.options.target);
  pushOwnHeaders(headers, output, attempt);
  return headers;
}

/** The same without the metadata headers. */
export function ownHeaders(output: Output, attempt: Attempt): HeaderPairs {
  const headers: HeaderPairs = [];
  pushOwnHeaders(headers, output, attempt);
  return headers;
}

function pushOwnHeaders(headers: HeaderPairs, output: Output, attempt: Attempt): void {
  const { active } = output;
  const { facts } = active.request;
  const isBytes = facts.operation === 'bytes';
  const { secrets } = active;
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

/** The caller's fields that the target does not accept. */
function pushDropped(to: HeaderPairs, attempt: Attempt): void {
  const dropped = droppedFields(attempt);
  if (dropped.length > 0) to.push('x-breakwater-dropped', dropped.join(', '));
}

/** The provider's own id of the request, for its support. */
export function pushUpstreamId(to: HeaderPairs, upstreamId: string | null): void {
  if (upstreamId !== null) to.push('x-upstream-request-id', upstreamId);
}

/** The provider's content type, unless it contradicts the form of the response, which SDKs go by. */
function contentTypeOf(given: string | null, isStream: boolean): string {
  const fitting = isStream ? 'text/event-stream' : 'json';
  return given !== null && given.toLowerCase().includes(fitting) ? given : isStream ? 'text/event-stream' : 'application/json';
}

/** The known cost of all calls for the request, after the last of them has ended. */
export function addCostHeader(to: HeaderPairs, { active: { spending } }: Output): void {
  const { costUsd } = spending.spent;
  if (costUsd !== null) to.push('x-breakwater-cost-usd', String(Number(costUsd.toPrecision(6))));
}

/** The metadata as a comment, for a stream whose headers were sent before. */
export function metadataComment(output: Output, target: RouteTarget, dropped: readonly string[] = []): string {
  const { retry } = output;
  const fallback = retry.fallbackFor(target);
  const way = `breakwater target=${target.state.name} attempts=${retry.attempts}${fallback === null ? '' : ` fallback=${fallback}`}`;
  return dropped.length === 0 ? way : `${way} dropped=${dropped.join(',')}`;
}

/** The same for the response of `attempt`. */
export function attemptComment(output: Output, attempt: Attempt): string {
  return metadataComment(output, attempt.options.target, droppedFields(attempt));
}
