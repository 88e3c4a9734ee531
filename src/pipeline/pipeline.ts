/**
 * The life of one request, in order:
 *
 *   sharing    a cached response is returned at once, and an identical request in flight is joined; otherwise this request runs once for
 *              everyone who joins it. Only with a cache or an idempotency key
 *   admission  a permit on some target: at once, after waiting, or a refusal that says when to retry
 *   attempt    one upstream call, until it has a candidate response or a failure; nothing has been sent to the caller yet. A second attempt
 *              may run in parallel when one is silent for too long: the steps below apply to whichever is decided first, then to the other
 *   quality    a complete candidate is checked against the quality policy; the best failed one is kept as a fallback
 *   delivery   a candidate is committed: its bytes stream to the caller, and its permit is settled at its end
 *   retry      a failure is judged: its effect on target and credential, and the targets that may be tried next
 *
 * and again from admission, until a response is delivered, no target is left, or the deadline passes. On every path the permit of each
 * attempt is closed, and the end of the request is emitted exactly once.
 */
import type { FailedQualityCheck } from '../core/quality.ts';
import { ActiveRequest } from './active/active-request.ts';
import type { RunningAttempts } from './active/active-request.ts';
import type { AdmissionResult, Admitted } from './admission/admission.ts';
import type { Attempt } from './attempt/attempt.ts';
import { waitForWork } from './active/wait-for-work.ts';
import { checkpoint } from './checkpoint.ts';
import { incapableError, takesAsItIs } from './conversion/capability.ts';
import type { Preparation } from './conversion/large-conversions.ts';
import { continueResponse } from './delivery/continuation/continue-response.ts';
import { Downstream } from './delivery/downstream.ts';
import { isLocalLimit, respondWithFailure } from './delivery/final-error.ts';
import { respondWithEmpty, isAcceptedEmpty, keepEmpty, keepFailedQuality } from './delivery/kept-response.ts';
import { Output } from './delivery/output.ts';
import { deadlineError, refusalError } from './delivery/refusal-error.ts';
import { relay } from './delivery/relay.ts';
import type { PipelineEngine } from './engine.ts';
import { AttemptGroup } from './group/attempt-group.ts';
import { beginAttempt } from './group/begin-attempt.ts';
import { judgeCandidate } from './quality/judge-response.ts';
import type { GatewayRequest } from './request/gateway-request.ts';
import { keepAliveMsOf } from './request/gateway-request.ts';
import type { ResponseSink } from './request/response-sink.ts';
import { nextPermit, parallelRepairedPermit } from './retry/next-attempt.ts';
import type { Exhausted } from './retry/next-attempt.ts';
import { recordFailure, recordFailedQuality } from './retry/record-failure.ts';
import { recordResponse } from './retry/record-response.ts';
import { RetryState } from './retry/retry-state.ts';
import type { Route } from './route/route.ts';
import { emitAttemptEnd } from './settle/attempt-end.ts';
import { settleUnused } from './settle/settle-response.ts';
import { identify, isShared, share } from './sharing/share.ts';
import type { SharedResponse } from './sharing/shared-response.ts';

/** The parts of one running request. */
interface Execution {
  readonly engine: PipelineEngine;
  readonly active: ActiveRequest;
  readonly retry: RetryState;
  readonly output: Output;
  /** Of a large request; null: none are needed. */
  readonly conversions: Preparation | null;
}

export function runRequest(engine: PipelineEngine, request: GatewayRequest, route: Route, sink: ResponseSink): Promise<void> {
  return isShared(request, route) ? runShared(engine, request, route, sink) : runAttempts(begin(engine, request, route, sink, null));
}

async function runShared(engine: PipelineEngine, request: GatewayRequest, route: Route, sink: ResponseSink): Promise<void> {
  const identity = identify(engine, request, route);
  const found = share(engine, request, route, sink, identity instanceof Promise ? await identity : identity);
  const shared = found instanceof Promise ? await found : found;
  if (shared !== null) await runAttempts(begin(engine, request, route, sink, shared));
}

/** From here on the request is running, and `runAttempts` ends it. */
function begin(
  engine: PipelineEngine,
  request: GatewayRequest,
  route: Route,
  sink: ResponseSink,
  shared: SharedResponse | null,
): Execution {
  const active = new ActiveRequest(engine, shared === null ? request : { ...request, caller: shared }, route);
  const retry = new RetryState(active, shared);
  const { id, dialect, program } = request;
  const keepAliveMs = keepAliveMsOf(request, route.policy);
  const downstream =
    shared ?? new Downstream(sink, engine.clock, { dialect, requestId: id, program: program ?? null, keepAliveMs, owner: active });
  const conversions = engine.conversions.prepare(request, retry.tiers);
  const output = new Output(engine, active, retry, downstream, shared);
  active.begin();
  shared?.begin(active);
  return { engine, active, retry, output, conversions };
}

/** Makes attempts until the request has ended. */
async function runAttempts(execution: Execution): Promise<void> {
  const { engine, active, retry, output, conversions } = execution;
  try {
    if (conversions !== null && !speaksFirst(retry) && !(await isConverted(execution, conversions))) return;
    retry.removeIncapable();
    if (retry.tiers.length === 0) return endIncapable(execution);
    let isUnsaved = active.request.beforeSending !== undefined;
    for (;;) {
      let attempt: Attempt | null;
      if (active.group === null) {
        const decision = nextPermit(retry);
        const admitted = admit(execution, decision instanceof Promise ? await decision : decision);
        if (admitted === null) return;
        if (!takesAsItIs(active.request, admitted.target.state)) {
          const found = await examine(execution, admitted);
          if (found === 'ended') return;
          if (found === 'again') continue;
        }
        if (isUnsaved && admitted.target !== active.request.delivered?.target) {
          const saved = await checkpoint(output, admitted);
          if (saved === 'ended') return;
          isUnsaved = false;
          if (saved === 'late') continue;
        }
        const first = beginAttempt(retry, admitted, null);
        if (first === null) return void endStopped(output);
        attempt = (await new AttemptGroup(retry, first).start()) ?? endStopped(output);
      } else {
        if (retry.repairedFor !== null) await repeatInParallel(retry, active.group);
        if (active.group === null) continue; // the request ended meanwhile
        attempt = await nextDecided(output, active.group);
      }
      if (attempt === null) return;
      if (attempt.failure === null) {
        recordResponse(retry, attempt);
        const judged = judgeOrRelease(engine, active, attempt);
        const failedCheck = judged instanceof Promise ? await judged : judged;
        if (failedCheck !== null) {
          recordFailedQuality(retry, attempt, failedCheck);
          keepFailedQuality(output, attempt, failedCheck);
          if (active.isOver) return void endStopped(output);
          if (isHopeless(execution)) return respondWithFailure(output);
          continue;
        }
        active.group?.win(attempt);
        const relayed = relay(output, attempt);
        const continuation = relayed instanceof Promise ? await relayed : relayed;
        return continuation === null ? undefined : await continueResponse(output, continuation, { send, nextDecided });
      }
      if (isAcceptedEmpty(attempt, attempt.failure)) {
        active.group?.win(attempt);
        return respondWithEmpty(output, attempt, attempt.failure);
      }
      recordFailure(retry, attempt, attempt.failure);
      keepEmpty(output, attempt, attempt.failure);
      if (isHopeless(execution)) return respondWithFailure(output);
    }
  } catch (error) {
    output.failInternal(error);
  } finally {
    conversions?.cancel();
    output.close();
  }
}

/** A target of the first tier needs no conversion. */
function speaksFirst({ active, tiers }: RetryState): boolean {
  return tiers[0]!.some(({ state }) => takesAsItIs(active.request, state));
}

/** Waits for the conversions of a large request; false: the request has ended. */
async function isConverted({ engine, active, retry, output }: Execution, { done }: Preparation): Promise<boolean> {
  let waited = await waitForWork(active, done, active.deadline - engine.clock.now());
  // Another reader with a later deadline may have joined meanwhile.
  while (waited.kind === 'late' && engine.clock.now() < active.deadline)
    waited = await waitForWork(active, done, active.deadline - engine.clock.now());
  if (active.isOver) endStopped(output);
  else if (waited.kind !== 'late') return true;
  else if (retry.attempts > 0) respondWithFailure(output);
  else output.fail(deadlineError(retry));
  return false;
}

/**
 * Whether a target that needs a conversion can carry the request. Unless it can, the permit is given back: no place is held while a large
 * conversion waits for its turn.
 */
async function examine(execution: Execution, admitted: Admitted): Promise<'capable' | 'again' | 'ended'> {
  const { engine, retry, conversions } = execution;
  if (conversions?.isDone === false) {
    engine.admission.cancel(admitted.permit);
    return (await isConverted(execution, conversions)) ? 'again' : 'ended';
  }
  if (retry.keepIfCapable(admitted)) return 'capable';
  if (retry.tiers.length > 0) return 'again';
  endIncapable(execution);
  return 'ended';
}

/** No target is left that can carry the request. */
function endIncapable({ active, retry, output }: Execution): void {
  if (retry.attempts > 0) respondWithFailure(output);
  else output.fail(incapableError(active.route, retry.incapable));
}

/** The deadline has passed, or no target would respond otherwise and no parallel attempt is running. */
function isHopeless({ engine, active, retry }: Execution): boolean {
  return engine.clock.now() >= active.deadline || (retry.isRejected && active.group === null);
}

/** Why the candidate fails its quality check; null: it passes. Its permit is returned if the check throws. */
function judgeOrRelease(
  engine: PipelineEngine,
  active: ActiveRequest,
  attempt: Attempt,
): FailedQualityCheck | null | Promise<FailedQualityCheck | null> {
  const release = (error: unknown): never => {
    attempt.cancel();
    settleUnused(active, attempt);
    emitAttemptEnd(active, attempt, 'cancelled', 'cancelled', null);
    throw error;
  };
  try {
    const judged = judgeCandidate(engine, active, attempt);
    return judged instanceof Promise ? judged.catch(release) : judged;
  } catch (error) {
    return release(error);
  }
}

/** The permit for the next attempt; null: there is none, and the request has ended. */
function admit({ engine, active, retry, output }: Execution, decision: AdmissionResult | Exhausted): Admitted | null {
  switch (decision.kind) {
    case 'start':
      active.takeClientPermit(decision.clientPermit);
      if (!active.isOver) return decision;
      // The caller disconnected, or the gateway stopped, after the decision.
      engine.admission.cancel(decision.permit);
      return endStopped(output);
    case 'cancelled':
      return endStopped(output);
    case 'refuse':
      if (retry.failures.every(isLocalLimit)) output.fail(refusalError(output, decision));
      else if (output.kept === null && retry.refusal === null && decision.why === 'expired' && engine.clock.now() >= active.deadline)
        output.fail(deadlineError(retry, decision.blockers));
      else respondWithFailure(output);
      return null;
    case 'exhausted':
      respondWithFailure(output);
      return null;
  }
}

/** Ends a request whose caller disconnected, or that the gateway stops. */
function endStopped(output: Output): null {
  const { stopError } = output.active;
  if (stopError !== null) output.fail(stopError);
  return null;
}

/** Starts a repaired retry at once, where possible, in parallel with an attempt at another target. */
async function repeatInParallel(retry: RetryState, group: RunningAttempts): Promise<void> {
  const { active } = retry;
  const decision = parallelRepairedPermit(retry, group);
  const result = decision instanceof Promise ? await decision : decision;
  if (result?.kind !== 'start') return;
  active.takeClientPermit(result.clientPermit);
  if (active.isOver || active.group !== group) return active.engine.admission.cancel(result.permit);
  retry.repairedFor = null;
  group.join(result);
}

/** The next running attempt that is decided; null: as `send`. */
async function nextDecided(output: Output, group: RunningAttempts): Promise<Attempt | null> {
  return (await group.next()) ?? endStopped(output);
}

/** Starts an attempt; resolves when it or a parallel one is decided. Null: it was cancelled, and the request has ended. */
async function send(output: Output, admitted: Admitted): Promise<Attempt | null> {
  const attempt = beginAttempt(output.retry, admitted, null);
  if (attempt === null) return endStopped(output);
  return (await new AttemptGroup(output.retry, attempt).start()) ?? endStopped(output);
}
