/** The response to a request that was sent and failed. */
import { BreakwaterError } from '../../core/errors.ts';
import type { Failure } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import type { Dialect } from '../../wire/dialect.ts';
import { parseBounded } from '../../wire/json-outline.ts';
import { errorStatusOf, impliedStatusOf } from '../../policy/verdict.ts';
import { pushUpstreamId, metadataHeaders } from './response-headers.ts';
import { describeCause } from '../retry/credential-blame.ts';
import { respondWithKept } from './kept-response.ts';
import { deadlineError } from './refusal-error.ts';
import { pausedMs } from '../route/route.ts';
import type { FailedAttempt } from '../retry/retry-state.ts';
import type { Output } from './output.ts';
import { requestedWaitMs } from '../retry/record-failure.ts';

/** Suggested wait before a retry, in milliseconds. */
const EXHAUSTED_RETRY_MS = 1_000;

export function respondWithFailure(output: Output): void {
  const { active, retry } = output;
  if (output.kept !== null) return respondWithKept(output, output.kept);
  if (retry.refusal !== null) return respondWithUpstreamError(output, firstRequestFault(output) ?? retry.refusal);
  const last = decisiveFailure(output);
  if (active.engine.clock.now() >= active.deadline || retry.failures.every(({ ranOut }) => ranOut))
    return output.fail(deadlineError(retry));
  if (retry.failures.every(({ failure }) => failure.kind === 'exhausted')) return output.fail(exhaustedError(last));
  if (isAuth(last) && allSame(output)) return output.fail(authError(output, last));
  if (passesUpstreamError(output, last)) return respondWithUpstreamError(output, last);
  const status = isAuth(last) ? undefined : statusOf(last.failure);
  const options = { retryAfterMs: waitMs(output), ...(status === undefined ? {} : { status }) };
  output.fail(new BreakwaterError('all_targets_failed', `every target failed: ${listAttempts(output)}`, options));
}

/** The first refusal that is about the request itself. A missing model, or a limit of a local model, is not. */
function firstRequestFault({ retry: { failures } }: Output): FailedAttempt | undefined {
  return failures.find(({ target, judgement, isRepaired }) => {
    return judgement.requestAtFault && judgement.reason !== 'model_not_found' && !isRepaired && !target.state.runsHere;
  });
}

/** True for a limit of a local model, which shows nothing about the request or about other targets. */
export function isLocalLimit({ target, judgement }: FailedAttempt): boolean {
  return target.state.runsHere && judgement.requestAtFault;
}

/** The failures that determine the final error: those of local models only if there are no others. */
function decisive({ retry: { failures } }: Output): readonly FailedAttempt[] {
  const others = failures.filter((failed) => !isLocalLimit(failed));
  return others.length === 0 ? failures : others;
}

/** The failure reported to the caller: a rejection, otherwise the last one. Of two parallel attempts, the rejected one may have ended first. */
function decisiveFailure(output: Output): FailedAttempt {
  const failures = decisive(output);
  const unrepaired = failures.filter(({ isRepaired }) => !isRepaired);
  return unrepaired.find(({ judgement }) => judgement.verdict === 'reject') ?? unrepaired.at(-1) ?? failures.at(-1)!;
}

/** True if the provider's own error is passed on: one target was tried, it is final, or all agree about the request. */
function passesUpstreamError(output: Output, last: FailedAttempt): boolean {
  if (last.failure.kind !== 'status' && last.failure.kind !== 'error') return false;
  if (isAuth(last)) return last.target.state.credential.auth === 'caller';
  if (last.judgement.verdict === 'reject') return true;
  if (decisive(output).every((failed) => failed.target.state.name === last.target.state.name)) return true;
  return last.judgement.requestAtFault && allSame(output);
}

function allSame(output: Output): boolean {
  const failures = decisive(output).filter(({ isRepaired }) => !isRepaired);
  return failures.every((failed) => failed.judgement.reason === failures[0]!.judgement.reason);
}

/** A refusal of the configured credential, whatever the reason: a 401 or 403 would seem to be about the caller's own. */
function isAuth({ failure, judgement, target }: FailedAttempt): boolean {
  if (target.state.credential.auth === 'caller') return false;
  return judgement.reason === 'auth' || (judgement.blame !== null && isAuthStatus(errorStatusOf(failure)));
}

function isAuthStatus(status: number | null): boolean {
  return status === 401 || status === 403;
}

function authError(output: Output, { target, failure, judgement }: FailedAttempt): BreakwaterError {
  const { provider, credential } = target.state;
  const quarantinedMs = credential.quarantine.remainingMs(output.active.engine.clock.now());
  const until = quarantinedMs === 0 ? '' : `; it is quarantined for ${(quarantinedMs / 1000).toFixed(1)} s`;
  const words = describeCause({
    reason: judgement.reason === 'quota' ? 'quota' : 'auth',
    status: failure.status,
    code: failure.code ?? failure.type,
    message: '',
  });
  return new BreakwaterError(
    'upstream_auth_failed',
    `${provider} refuses its configured credential ${credential.number} (${words})${until}`,
  );
}

/** A failure of this process or machine, whatever the target. */
function exhaustedError({ failure }: FailedAttempt): BreakwaterError {
  return new BreakwaterError('internal_error', `Breakwater could not open a connection: ${failure.message}`, {
    status: 503,
    retryAfterMs: EXHAUSTED_RETRY_MS,
  });
}

/** 407 is about the proxy of the caller's own HTTP client (RFC 9110 15.5.8): `fetch` reports it as a network error. */
function statusOf(failure: Failure): number | undefined {
  const status = failure.kind === 'error' ? impliedStatusOf(failure) : failure.status;
  return status !== null && status >= 400 && status <= 599 && status !== 407 ? status : undefined;
}

/** The shortest wait until a failed target may be retried; null: unknown, or a retry would not help. */
function waitMs(output: Output): number | null {
  const { retry } = output;
  if (retry.isRejected || retry.refusal !== null) return null;
  const waits = retry.failures.map((failed) => waitFor(output, failed)).filter((wait) => wait !== null);
  return waits.length === 0 ? null : Math.min(...waits);
}

function waitFor(output: Output, { target, failure }: FailedAttempt): number | null {
  const coolingMs = pausedMs(target.state, output.active.engine.clock.now());
  if (coolingMs > 0) return coolingMs;
  const askedMs = requestedWaitMs(failure);
  return askedMs > 0 ? askedMs : null;
}

function respondWithUpstreamError(output: Output, last: FailedAttempt): void {
  const { failure } = last;
  const status = statusOf(failure) ?? 502;
  const { dialect, id } = output.active.request;
  const { message, type, param, code } = failure;
  const given = { status, message, type, param, code, retryAfterMs: waitMs(output) };
  const form = last.isConverted ? 'foreign' : bodyForm(failure, dialect);
  const words = form === 'foreign' ? dialect.error.foreign(given, last.judgement.reason) : given;
  const ownBody = form === 'own' ? failure.body! : null;
  const body = ownBody ?? dialect.error.body(words, id);
  const contentType = ownBody === null ? 'application/json' : (failure.contentType ?? 'application/json');
  const headers = [...metadataHeaders(output, last.target), 'content-type', contentType, 'content-length', String(body.byteLength)];
  pushUpstreamId(headers, last.upstreamId);
  if (last.account !== undefined) headers.push(...last.account);
  const { requestAtFault, reason } = last.judgement;
  // A rate limit that ends after the deadline was not waited for: the caller may do so, as after one of Breakwater's own.
  const { engine, deadline } = output.active;
  const isRetryable = reason === 'rate_limited' && engine.clock.now() + requestedWaitMs(failure) >= deadline;
  const retry = { isRetryable, waitMs: given.retryAfterMs };
  output.downstream.refuse({ status, headers, body, retry, words, isFinal: output.retry.isRejected, requestAtFault });
  output.failAsUpstream(status);
}

/** `own`: a client of this protocol can parse the error body as it is; `foreign`: it is another protocol's; null: it has no error. */
function bodyForm({ kind, body }: Failure, { error }: Dialect): 'own' | 'foreign' | null {
  if (kind !== 'status' || body === null || body.byteLength === 0) return null;
  const parsed = parseBounded(Buffer.from(body).toString());
  if (!isRecord(parsed)) return null;
  if (!error.isOwn(parsed)) return 'foreign';
  return typeof parsed['error'] === 'object' ? 'own' : null;
}

function listAttempts(output: Output): string {
  return output.retry.failures
    .map((failed, i) => `${i + 1}. ${failed.target.state.name}: ${describe(failed.failure, isAuth(failed))}`)
    .join('; ');
}

/** The provider's message about a configured credential is not shown to callers. */
function describe(failure: Failure, isConfiguredCredential: boolean): string {
  if (isConfiguredCredential) return `${failure.status ?? 'it'} refused the configured credential`;
  return failure.status === null ? failure.message : `${failure.status} ${failure.message}`;
}
