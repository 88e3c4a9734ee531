/** What the caller is listed when a request was sent and failed (design 2.3). */
import { BreakwaterError } from '../../core/errors.ts';
import type { Failure } from '../../core/facts.ts';
import { parseBounded } from '../../wire/json-outline.ts';
import { pushUpstreamId, metadataHeaders } from './response-headers.ts';
import { causeWords } from '../retry/credential-blame.ts';
import { retryAdvice } from './error-response.ts';
import { respondWithKept } from './kept-response.ts';
import { deadlineError } from './refusal-error.ts';
import { pausedMs } from '../route/route.ts';
import type { FailedAttempt } from '../retry/retry-state.ts';
import type { Output } from './output.ts';
import { requestedWaitMs } from '../retry/record-failure.ts';

/** When another try may find room, in milliseconds. */
const EXHAUSTED_RETRY_MS = 1_000;

export function respondWithFailure(output: Output): void {
  if (output.kept !== null) return respondWithKept(output, output.kept);
  if (output.retry.refusal !== null) return respondWithUpstreamError(output, firstRequestFault(output) ?? output.retry.refusal);
  const last = decisiveFailure(output);
  if (output.active.engine.clock.now() >= output.active.deadline || output.retry.failures.every(({ ranOut }) => ranOut))
    return output.fail(deadlineError(output.retry));
  if (output.retry.failures.every(({ failure }) => failure.kind === 'exhausted')) return output.fail(exhaustedError(last));
  if (isAuth(last) && allSame(output)) return output.fail(authError(output, last));
  if (passesUpstreamError(output, last)) return respondWithUpstreamError(output, last);
  const status = isAuth(last) ? undefined : statusOf(last.failure);
  const options = { retryAfterMs: waitMs(output), ...(status === undefined ? {} : { status }) };
  output.fail(new BreakwaterError('all_targets_failed', `every target failed: ${listAttempts(output)}`, options));
}

/** The first refusal of the request itself; whether a target has the model, and what a model on this machine can do, says nothing of that. */
function firstRequestFault({ retry: { failures } }: Output): FailedAttempt | undefined {
  return failures.find(({ target, judgement, isRepaired }) => {
    return judgement.requestAtFault && judgement.reason !== 'model_not_found' && !isRepaired && !target.state.runsHere;
  });
}

/** What a model of this machine can't do says nothing of the request to other targets, nor of why those can't be used. */
export function isLocalLimit({ target, judgement }: FailedAttempt): boolean {
  return target.state.runsHere && judgement.requestAtFault;
}

/** The failures that the final error is made of: of models on this machine only where there are no others. */
function decisive({ retry: { failures } }: Output): readonly FailedAttempt[] {
  const others = failures.filter((failed) => !isLocalLimit(failed));
  return others.length === 0 ? failures : others;
}

/** Of two attempts beside each other, the one that says that nothing will work may have ended first. */
function decisiveFailure(output: Output): FailedAttempt {
  const failures = decisive(output);
  const unrepaired = failures.filter(({ isRepaired }) => !isRepaired);
  return unrepaired.find(({ judgement }) => judgement.verdict === 'reject') ?? unrepaired.at(-1) ?? failures.at(-1)!;
}

/** One target alone was asked, nothing else could help, or all said the same about the request itself. */
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

/** A refusal of our credential, whatever the reason: to the caller a 401 or 403 would be about its own. */
function isAuth({ failure, judgement, target }: FailedAttempt): boolean {
  if (target.state.credential.auth === 'caller') return false;
  return judgement.reason === 'auth' || (judgement.blame !== null && (failure.status === 401 || failure.status === 403));
}

function authError(output: Output, { target, failure, judgement }: FailedAttempt): BreakwaterError {
  const { provider, credential } = target.state;
  const quarantinedMs = credential.bench.remainingMs(output.active.engine.clock.now());
  const until = quarantinedMs === 0 ? '' : `; it is out of order for ${(quarantinedMs / 1000).toFixed(1)} s`;
  const words = causeWords({
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

/** A fault of ours, whatever target it was met at. */
function exhaustedError({ failure }: FailedAttempt): BreakwaterError {
  return new BreakwaterError('internal_error', `Breakwater could not open a connection: ${failure.message}`, {
    status: 503,
    retryAfterMs: EXHAUSTED_RETRY_MS,
  });
}

/** 407 is an instruction to the caller's own HTTP client about its proxy (RFC 9110 15.5.8): `fetch` takes it for a network error. */
function statusOf({ status }: Failure): number | undefined {
  return status !== null && status >= 400 && status <= 599 && status !== 407 ? status : undefined;
}

/** When the first of the targets that failed may be asked again, where one said so; null also where nothing would help. */
function waitMs(output: Output): number | null {
  if (output.retry.isRejected || output.retry.refusal !== null) return null;
  const waits = output.retry.failures.map((failed) => waitFor(output, failed)).filter((wait) => wait !== null);
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
  const words = last.isConverted ? dialect.error.foreign(given, last.judgement.reason) : given;
  const ownBody = !last.isConverted && isErrorJson(failure) ? failure.body! : null;
  const body = ownBody ?? dialect.error.body(words, id);
  const contentType = ownBody === null ? 'application/json' : (failure.contentType ?? 'application/json');
  const error = new BreakwaterError('all_targets_failed', failure.message, { retryAfterMs: waitMs(output) });
  const headers = [...metadataHeaders(output, last.target), 'content-type', contentType, 'content-length', String(body.byteLength)];
  pushUpstreamId(headers, last.upstreamId);
  if (last.account !== undefined) headers.push(...last.account);
  const { requestAtFault } = last.judgement;
  output.downstream.refuse({ status, headers, body, retry: retryAdvice(error), words, isFinal: output.retry.isRejected, requestAtFault });
  output.failAsUpstream(status);
}

/** An error body that a client of this protocol can read as it is. */
function isErrorJson(failure: Failure): boolean {
  if (failure.kind !== 'status' || failure.body === null || failure.body.byteLength === 0) return false;
  const parsed = parseBounded(Buffer.from(failure.body).toString());
  return typeof parsed === 'object' && parsed !== null && typeof (parsed as { error?: unknown }).error === 'object';
}

function listAttempts(output: Output): string {
  return output.retry.failures
    .map((failed, i) => `${i + 1}. ${failed.target.state.name}: ${describe(failed.failure, isAuth(failed))}`)
    .join('; ');
}

/** What a provider says of our credential is nobody else's business. */
function describe(failure: Failure, isOurCredential: boolean): string {
  if (isOurCredential) return `${failure.status ?? 'it'} refused our credential`;
  return failure.status === null ? failure.message : `${failure.status} ${failure.message}`;
}
