/**
 * How one request lives (design section 3), in order:
 *
 *   share    an answer that was kept goes out at once, and one that another request waits for is shared; where there is neither, it is
 *            made, for all who ask for the same until it is there. Only with a cache or an idempotency key
 *   admit    a permit on some target: at once, after waiting, or a refusal that says when
 *   attempt  one send, watched until there is a candidate or a failure; nothing has gone downstream yet. Beside one that is silent for
 *            too long another may run: what is said below goes for whichever is decided first, then for the other one
 *   judge    a candidate that is whole is held against the quality policy; one that falls short is kept, should none be better
 *   relay    a candidate is committed: its bytes pass through to the caller, its permit is settled at its end
 *   verdict  a failure is judged: what it means for target and credential, and whether anybody else can answer
 *
 * and again from admit, until the answer went out, nobody is left to ask, or time is up. Whatever happens, the
 * permit of every attempt is closed, and the caller is told the end exactly once.
 */
import type { Shortfall } from '../core/quality.ts';
import type { AdmissionResult, Admitted } from './admission/admission.ts';
import type { Attempt } from './attempt/attempt.ts';
import { beginAttempt } from './group/begin-attempt.ts';
import { incapableError } from './conversion/capability.ts';
import { checkpoint } from './admission/checkpoint.ts';
import { continueAnswer } from './delivery/continuation/continue-response.ts';
import type { Engine } from './request/engine.ts';
import { isOurOwnLimit, tellFailure } from './delivery/final-error.ts';
import type { GatewayRequest } from './request/gateway-request.ts';
import { judgeCandidate } from './quality/judge-response.ts';
import { answerEmpty, isWelcomeEmpty, keepEmpty, keepPoor } from './delivery/kept-response.ts';
import { learnFromAnswer } from './settle/learn.ts';
import { askNext, askRepairedBeside } from './retry/next-attempt.ts';
import type { Exhausted } from './retry/next-attempt.ts';
import { deadlineError, refusalError } from './admission/request-applicant.ts';
import { AttemptGroup } from './group/attempt-group.ts';
import { relay } from './delivery/relay.ts';
import type { Route } from './route/route.ts';
import { RequestRun } from './run.ts';
import type { Group } from './run-parts.ts';
import { identify, isShared, share } from './sharing/share.ts';
import type { SharedAnswer } from './sharing/shared-response.ts';
import { settleUntaken } from './settle/settle-response.ts';
import type { AnswerSink } from './request/response-sink.ts';
import { takeFailure, takeShortfall, tellAttemptEnd } from './retry/record-failure.ts';

export async function runRequest(engine: Engine, request: GatewayRequest, route: Route, sink: AnswerSink): Promise<void> {
  let shared: SharedAnswer | null = null;
  if (isShared(request, route)) {
    const identity = identify(engine, request, route);
    const found = share(engine, request, route, sink, identity instanceof Promise ? await identity : identity);
    shared = found instanceof Promise ? await found : found;
    if (shared === null) return;
  }
  const run = new RequestRun(engine, shared === null ? request : { ...request, caller: shared }, route, sink, shared);
  run.begin();
  shared?.begin(run);
  try {
    await carryOut(run);
  } catch (error) {
    run.failInside(error);
  } finally {
    run.close();
  }
}

async function carryOut(run: RequestRun): Promise<void> {
  const incapable = run.leaveOutIncapable();
  for (const { target, message } of incapable) run.note(`left out: ${message}`, target);
  if (run.tiers.length === 0) return run.fail(incapableError(run.route, incapable));
  for (;;) {
    let attempt: Attempt | null;
    if (run.group === null) {
      const asked = askNext(run);
      const admitted = admit(run, asked instanceof Promise ? await asked : asked);
      if (admitted === null) return;
      if (run.attempts === 0 && run.request.beforeSending !== undefined && !(await checkpoint(run, admitted))) return;
      attempt = await send(run, admitted);
    } else {
      if (run.mendedFor !== null) await repeatBeside(run, run.group);
      if (run.group === null) continue; // the request ended meanwhile
      attempt = await goOn(run, run.group);
    }
    if (attempt === null) return;
    if (attempt.failure === null) {
      learnFromAnswer(run, attempt);
      const judged = judgeOrGiveBack(run, attempt);
      const shortfall = judged instanceof Promise ? await judged : judged;
      if (shortfall !== null) {
        takeShortfall(run, attempt, shortfall);
        keepPoor(run, attempt, shortfall);
        if (run.isOver) return void tellOver(run);
        if (isHopeless(run)) return tellFailure(run);
        continue;
      }
      run.group?.win(attempt);
      const continuation = await relay(run, attempt);
      return continuation === null ? undefined : continueAnswer(run, continuation, { send, goOn });
    }
    if (isWelcomeEmpty(attempt, attempt.failure)) {
      run.group?.win(attempt);
      return answerEmpty(run, attempt, attempt.failure);
    }
    takeFailure(run, attempt, attempt.failure);
    keepEmpty(run, attempt, attempt.failure);
    if (isHopeless(run)) return tellFailure(run);
  }
}

/** Time is up, or nothing will work; of two attempts beside each other, the one that still runs may answer all the same. */
function isHopeless(run: RequestRun): boolean {
  return run.engine.clock.now() >= run.deadline || (run.isRejected && run.group === null);
}

/** What the candidate lacks; should that not be found out, its permit is given back all the same. */
function judgeOrGiveBack(run: RequestRun, attempt: Attempt): Shortfall | null | Promise<Shortfall | null> {
  const giveBack = (error: unknown): never => {
    attempt.cancel();
    settleUntaken(run, attempt);
    tellAttemptEnd(run, attempt, 'cancelled', 'cancelled', null);
    throw error;
  };
  try {
    const judged = judgeCandidate(run, attempt);
    return judged instanceof Promise ? judged.catch(giveBack) : judged;
  } catch (error) {
    return giveBack(error);
  }
}

/** The permit for the next attempt; null: there will be none, and the caller has been told. */
function admit(run: RequestRun, asked: AdmissionResult | Exhausted): Admitted | null {
  switch (asked.kind) {
    case 'start':
      run.clientPermit ??= asked.clientPermit;
      if (!run.isOver) return asked;
      // The caller left, or the gateway stopped, between the decision and now.
      run.engine.admission.cancel(asked.permit);
      return tellOver(run);
    case 'cancelled':
      return tellOver(run);
    case 'refuse':
      if (run.failures.every(isOurOwnLimit)) run.fail(refusalError(run, asked));
      else if (run.kept === null && run.refusal === null && asked.why === 'expired' && run.engine.clock.now() >= run.deadline)
        run.fail(deadlineError(run, asked.blockers));
      else tellFailure(run);
      return null;
    case 'exhausted':
      tellFailure(run);
      return null;
  }
}

/** Nobody waits for an answer any more, or the gateway stops and says so. */
function tellOver(run: RequestRun): null {
  if (run.stopError !== null) run.fail(run.stopError);
  return null;
}

/** A repaired repeat begins at once, where it can, while an attempt at another target still runs. */
async function repeatBeside(run: RequestRun, group: Group): Promise<void> {
  const asked = askRepairedBeside(run, group);
  const result = asked instanceof Promise ? await asked : asked;
  if (result?.kind !== 'start') return;
  run.clientPermit ??= result.clientPermit;
  if (run.isOver || run.group !== group) return run.engine.admission.cancel(result.permit);
  run.mendedFor = null;
  group.join(result);
}

/** The next of the attempts that run at once, once it is decided; null: as `send`. */
async function goOn(run: RequestRun, group: Group): Promise<Attempt | null> {
  return (await group.next()) ?? tellOver(run);
}

/** One attempt, until it is decided, or another one beside it; null: it was cancelled, and the caller has been told. */
async function send(run: RequestRun, admitted: Admitted): Promise<Attempt | null> {
  const attempt = beginAttempt(run, admitted, null);
  if (attempt === null) return tellOver(run);
  return (await new AttemptGroup(run, attempt).start()) ?? tellOver(run);
}
