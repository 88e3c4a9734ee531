/** What the caller is told when a request was sent and failed (design 2.3). */
import { BreakwaterError } from '../core/errors.ts';
import type { Failure } from '../core/facts.ts';
import type { Dialect } from '../wire/dialect.ts';
import { parseBounded } from '../wire/json-outline.ts';
import { isRecord } from '../wire/json-values.ts';
import { pushUpstreamId, wayHeaders } from './answer-headers.ts';
import { causeWords } from './credential-blame.ts';
import { retryAdvice } from './error-answer.ts';
import { answerKept } from './kept-answer.ts';
import { deadlineError } from './permission.ts';
import { pausedMs } from './route.ts';
import type { FailedAttempt } from './run-parts.ts';
import type { RequestRun } from './run.ts';
import { askedWaitMs } from './verdict-effects.ts';

/** When another try may find room, in milliseconds. */
const EXHAUSTED_RETRY_MS = 1_000;

export function tellFailure(run: RequestRun): void {
  if (run.kept !== null) return answerKept(run, run.kept);
  if (run.refusal !== null) return answerAsUpstream(run, firstInRequest(run) ?? run.refusal);
  const last = lastWord(run);
  if (run.engine.clock.now() >= run.deadline || run.failures.every(({ ranOut }) => ranOut)) return run.fail(deadlineError(run));
  if (run.failures.every(({ failure }) => failure.kind === 'exhausted')) return run.fail(exhaustedError(last));
  if (isAuth(last) && allSame(run)) return run.fail(authError(run, last));
  if (keepsUpstreamWords(run, last)) return answerAsUpstream(run, last);
  const status = isAuth(last) ? undefined : statusOf(last.failure);
  const options = { retryAfterMs: waitMs(run), ...(status === undefined ? {} : { status }) };
  run.fail(new BreakwaterError('all_targets_failed', `every target failed: ${listAttempts(run)}`, options));
}

/** The first refusal of the request itself; whether a target has the model, and what a model on this machine can do, says nothing of that. */
function firstInRequest({ failures }: RequestRun): FailedAttempt | undefined {
  return failures.find(({ target, judgement, isRepaired }) => {
    return judgement.liesInRequest && judgement.reason !== 'model_not_found' && !isRepaired && !target.state.runsHere;
  });
}

/** What a model of this machine can't do says nothing of the request to other targets, nor of why those can't be used. */
export function isOurOwnLimit({ target, judgement }: FailedAttempt): boolean {
  return target.state.runsHere && judgement.liesInRequest;
}

/** The failures that the final error is made of: of models on this machine only where there are no others. */
function decisive({ failures }: RequestRun): readonly FailedAttempt[] {
  const others = failures.filter((failed) => !isOurOwnLimit(failed));
  return others.length === 0 ? failures : others;
}

/** Of two attempts beside each other, the one that says that nothing will work may have ended first. */
function lastWord(run: RequestRun): FailedAttempt {
  const failures = decisive(run);
  const unrepaired = failures.filter(({ isRepaired }) => !isRepaired);
  return unrepaired.find(({ judgement }) => judgement.verdict === 'reject') ?? unrepaired.at(-1) ?? failures.at(-1)!;
}

/** One target alone was asked, nothing else could help, or all said the same about the request itself. */
function keepsUpstreamWords(run: RequestRun, last: FailedAttempt): boolean {
  if (last.failure.kind !== 'status' && last.failure.kind !== 'error') return false;
  if (isAuth(last)) return last.target.state.credential.auth === 'caller';
  if (last.judgement.verdict === 'reject') return true;
  if (decisive(run).every((failed) => failed.target.state.name === last.target.state.name)) return true;
  return last.judgement.liesInRequest && allSame(run);
}

function allSame(run: RequestRun): boolean {
  const failures = decisive(run).filter(({ isRepaired }) => !isRepaired);
  return failures.every((failed) => failed.judgement.reason === failures[0]!.judgement.reason);
}

/** A refusal of our credential, whatever the reason: to the caller a 401 or 403 would be about its own. */
function isAuth({ failure, judgement, target }: FailedAttempt): boolean {
  if (target.state.credential.auth === 'caller') return false;
  return judgement.reason === 'auth' || (judgement.blame !== null && (failure.status === 401 || failure.status === 403));
}

function authError(run: RequestRun, { target, failure, judgement }: FailedAttempt): BreakwaterError {
  const { provider, credential } = target.state;
  const quarantinedMs = credential.bench.remainingMs(run.engine.clock.now());
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
function waitMs(run: RequestRun): number | null {
  if (run.isRejected || run.refusal !== null) return null;
  const waits = run.failures.map((failed) => waitFor(run, failed)).filter((wait) => wait !== null);
  return waits.length === 0 ? null : Math.min(...waits);
}

function waitFor(run: RequestRun, { target, failure }: FailedAttempt): number | null {
  const coolingMs = pausedMs(target.state, run.engine.clock.now());
  if (coolingMs > 0) return coolingMs;
  const askedMs = askedWaitMs(failure);
  return askedMs > 0 ? askedMs : null;
}

function answerAsUpstream(run: RequestRun, last: FailedAttempt): void {
  const { failure } = last;
  const status = statusOf(failure) ?? 502;
  const { dialect, id } = run.request;
  const { message, type, param, code } = failure;
  const given = { status, message, type, param, code, retryAfterMs: waitMs(run) };
  const form = last.isConverted ? 'foreign' : bodyForm(failure, dialect);
  const words = form === 'foreign' ? dialect.error.foreign(given, last.judgement.reason) : given;
  const ownBody = form === 'own' ? failure.body! : null;
  const body = ownBody ?? dialect.error.body(words, id);
  const contentType = ownBody === null ? 'application/json' : (failure.contentType ?? 'application/json');
  const error = new BreakwaterError('all_targets_failed', failure.message, { retryAfterMs: waitMs(run) });
  const headers = [...wayHeaders(run, last.target), 'content-type', contentType, 'content-length', String(body.byteLength)];
  pushUpstreamId(headers, last.upstreamId);
  if (last.account !== undefined) headers.push(...last.account);
  const { liesInRequest } = last.judgement;
  run.downstream.refuse({ status, headers, body, retry: retryAdvice(error), words, isFinal: run.isRejected, liesInRequest });
  run.failAsUpstream(status);
}

/** `own`: a client of this protocol can read the error body as it is; `foreign`: it is another protocol's; null: it says nothing. */
function bodyForm({ kind, body }: Failure, { error }: Dialect): 'own' | 'foreign' | null {
  if (kind !== 'status' || body === null || body.byteLength === 0) return null;
  const parsed = parseBounded(Buffer.from(body).toString());
  if (!isRecord(parsed)) return null;
  if (!error.isOwn(parsed)) return 'foreign';
  return typeof parsed['error'] === 'object' ? 'own' : null;
}

function listAttempts(run: RequestRun): string {
  return run.failures.map((failed, i) => `${i + 1}. ${failed.target.state.name}: ${describe(failed.failure, isAuth(failed))}`).join('; ');
}

/** What a provider says of our credential is nobody else's business. */
function describe(failure: Failure, isOurCredential: boolean): string {
  if (isOurCredential) return `${failure.status ?? 'it'} refused our credential`;
  return failure.status === null ? failure.message : `${failure.status} ${failure.message}`;
}
