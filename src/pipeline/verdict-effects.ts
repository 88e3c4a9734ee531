/** Acts on a failed attempt: closes its permit, applies what the verdict says to target and credential, and remembers it. */
import type { Instant } from '../core/clock.ts';
import type { CooldownEvent } from '../core/events.ts';
import type { Failure, TokenUsage } from '../core/facts.ts';
import type { Shortfall } from '../core/quality.ts';
import type { Settlement } from '../core/resource.ts';
import type { BlameLevel } from '../core/source.ts';
import { equalJitter, fullJitter } from '../policy/backoff.ts';
import type { Cooldown } from '../policy/cooldown/cooldown.ts';
import { STALE_CONNECTION, errorStatusOf, judge } from '../policy/verdict.ts';
import type { Judgement } from '../policy/verdict.ts';
import { createFailure } from '../wire/failure.ts';
import type { Attempt } from './attempt.ts';
import { blameCredential, limitCarrying } from './credential-blame.ts';
import { settleAttempt } from './engine.ts';
import { learnFromFailure } from './learn.ts';
import { convertAfter, writeOutAfter } from './retry/other-dialect.ts';
import { learnMakers } from './opaque/learn-makers.ts';
import { mayBeHeldElsewhere } from './opaque/preference.ts';
import { renewAfter } from './retry/renew.ts';
import { repairAfter } from './retry/repair.ts';
import { withSecondOpinion } from './retry/second-opinion.ts';
import type { RouteTarget } from './route.ts';
import type { RequestRun } from './run.ts';
import { settleAnswered } from './settle-answer.ts';
import { accountHeaders } from './upstream-headers.ts';

const NOTHING_USED: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 };

/** Silence that the caller's own deadline cut shorter than this, or than the target's answers take, says nothing about it; in milliseconds. */
const TELLING_SILENCE_MS = 10_000;

/** A timer may be late or early by this, in milliseconds. */
const ROUNDING_MS = 1;

/** An empty answer is asked for once more; a target that is empty twice stays so, and every time is paid for. */
const EMPTY_ANSWERS_MAX = 2;

/**
 * Who comes back after the time that the provider itself has named amplifies nothing: until then nobody calls it, and the first refusal
 * after that pauses all again. Below this, in milliseconds, so many may come between two pauses that the retry budget has to bound them.
 */
const ASKED_WAIT_MIN_MS = 500;

/** How much longer a target pauses that wants fewer requests altogether. */
const LONGER_PAUSE = 4;

export function takeFailure(run: RequestRun, attempt: Attempt, failure: Failure): Judgement {
  const found = judge(failure);
  const repaired =
    renewAfter(run, attempt, failure) ??
    writeOutAfter(run, attempt, failure) ??
    convertAfter(run, attempt, failure) ??
    repairAfter(run, attempt, failure, found);
  const judgement = repaired ?? withSecondOpinion(run, attempt, failure, found);
  const health = cutByDeadline(run, attempt, failure) ? 'neutral' : judgement.health;
  learnFromFailure(run, attempt, failure, judgement, health);
  settleFailure(run, attempt, failure, judgement, settlementOf(failure, health, attempt));
  const shortfall = failure.kind === 'empty' ? failure.kind : null;
  if (shortfall !== null) countShortfall(attempt, shortfall);
  tellAttemptEnd(run, attempt, judgement.verdict, judgement.reason, failure, shortfall);
  rememberFailure(run, attempt, failure, judgement, repaired !== null);
  return judgement;
}

const POOR: Readonly<Record<Shortfall, string>> = {
  empty: 'the answer has no content',
  truncated: 'the answer ended at its length limit',
  refused: 'the model refused',
  repetition: 'the answer says the same again and again',
  short: 'the answer is shorter than asked',
  mismatch: 'the answer does not match what the policy asks',
  schema: 'the answer is not the JSON that was asked for',
};

/** A whole answer that is not good enough: its target is in order, but not the one for this request. */
export function takeShortfall(run: RequestRun, attempt: Attempt, shortfall: Shortfall): void {
  const failure = createFailure('poor', 'answer', POOR[shortfall], { status: attempt.status });
  const judgement = judge(failure);
  settleAnswered(run, attempt);
  countShortfall(attempt, shortfall);
  tellAttemptEnd(run, attempt, judgement.verdict, judgement.reason, failure, shortfall);
  rememberFailure(run, attempt, failure, judgement);
}

function countShortfall(attempt: Attempt, shortfall: Shortfall): void {
  const { shortfalls } = attempt.options.target.state;
  shortfalls[shortfall] = (shortfalls[shortfall] ?? 0) + 1;
}

/** What the failure means for the attempts to come. `isRepaired`: the same target is asked again with other edits. */
export function rememberFailure(run: RequestRun, attempt: Attempt, failure: Failure, judgement: Judgement, isRepaired = false): void {
  const { clock } = run.engine;
  const { target } = attempt.options;
  const ranOut = endedByDeadline(run, attempt, failure);
  run.failures.push({
    target,
    failure,
    judgement,
    upstreamId: attempt.upstreamId,
    ...(target.state.credential.auth === 'caller' && { account: accountHeaders(attempt.headers) }),
    ranOut,
    isRepaired,
    isConverted: attempt.options.conversion !== null,
  });
  if (isRepaired) return;
  run.fallback ??= judgement.reason;
  if (judgement === STALE_CONNECTION.judgement || askedWaitMs(failure) >= ASKED_WAIT_MIN_MS) run.tried.markFree(target);
  if (judgement.verdict === 'retry' && !isEmptyAgain(run, attempt))
    pauseForRun(run, target, judgement, clock.now() + repeatDelayMs(run, attempt, failure, judgement));
  else markDead(run, attempt, failure, judgement);
  limitCarrying(run, attempt, judgement);
}

export function tellAttemptEnd(
  run: RequestRun,
  attempt: Attempt,
  verdict: Judgement['verdict'] | 'success' | 'cancelled',
  reason: Judgement['reason'] | null,
  failure: Failure | null,
  quality: Shortfall | null = null,
): void {
  const at = run.engine.clock.now();
  const { number, target } = attempt.options;
  attempt.endTold = true;
  learnMakers(run, attempt);
  const { usage } = attempt.facts;
  const cost = run.spending.add(target, usage);
  run.engine.events.emit({
    type: 'attempt_end',
    requestId: run.request.id,
    at,
    attempt: number,
    target: target.state.name,
    provider: target.state.provider,
    credential: target.state.credential.number,
    durationMs: at - attempt.startedAt,
    firstContentMs: attempt.silentMs,
    verdict,
    reason,
    status: failure?.status ?? (attempt.status === 0 ? null : attempt.status),
    failure: failure?.kind ?? null,
    quality,
    phase: failure?.phase ?? null,
    message: failure?.message ?? null,
    usage,
    ...(cost === null ? {} : { costUsd: cost }),
    upstreamRequestId: attempt.upstreamId,
  });
}

/**
 * The deadline of the caller ended it, or the share of it that one attempt may spend in silence, and so early that its silence proves
 * nothing. Under overload many start late: if these counted, they would open the breaker of a healthy target.
 */
function cutByDeadline(run: RequestRun, attempt: Attempt, failure: Failure): boolean {
  const knownMs = attempt.knownSilenceMs(failure.phase);
  return silentMs(run, attempt, failure) < Math.max(TELLING_SILENCE_MS, knownMs) && endedByDeadline(run, attempt, failure);
}

/** Not by its own limits of silence. */
function endedByDeadline(run: RequestRun, attempt: Attempt, failure: Failure): boolean {
  if (failure.kind !== 'timeout') return false;
  return run.engine.clock.now() >= run.deadline || silentMs(run, attempt, failure) < attempt.ownLimitMs(failure.phase) - ROUNDING_MS;
}

/** A stream that is held back whole may have gone on well until now. */
function silentMs(run: RequestRun, attempt: Attempt, failure: Failure): number {
  return run.engine.clock.now() - (failure.phase === 'answer' ? attempt.heardAt : attempt.startedAt);
}

function settlementOf(failure: Failure, health: Settlement['health'], attempt: Attempt): Settlement {
  if (!attempt.sent) return { usage: null, health, unsent: true };
  return { usage: failure.kind === 'status' ? NOTHING_USED : attempt.facts.usage, health };
}

/**
 * Closes the permit of a failed attempt with what its verdict says of target and credential. The pauses come first: those who wait
 * for the place that becomes free must not be sent where nobody may go.
 */
export function settleFailure(run: RequestRun, attempt: Attempt, failure: Failure, judgement: Judgement, settlement: Settlement): void {
  const { engine } = run;
  const { target, permit } = attempt.options;
  const paused = pauseFor(run, attempt, failure, judgement);
  const pauseUntil = paused === null ? -Infinity : engine.clock.now() + askedWaitMs(failure);
  settleAttempt(engine, target, permit, settlement, pauseUntil);
  if (paused !== null) engine.events.emit(paused);
  const heldMs = judgement.health === 'failure' ? target.state.breaker.heldForMs(engine.clock.now(), run.source) : 0;
  if (heldMs > 0) run.note(`fails for this client or request alone: its next trial there in ${Math.round(heldMs)} ms`, target);
}

/** Pauses the target, or suspects or quarantines its credential; the event for what was done, null: nothing. */
function pauseFor(run: RequestRun, attempt: Attempt, failure: Failure, judgement: Judgement): CooldownEvent | null {
  const { clock, random } = run.engine;
  const { state, policy } = attempt.options.target;
  const now = clock.now();
  const hintMs = askedWaitMs(failure);
  if (judgement.effect === 'cooldown') {
    const ofCredential = isOfCredential(judgement);
    if (ofCredential && state.credential.auth === 'caller') return null; // the caller's own limit holds nobody else back
    const { baseDelay, maxDelay } = policy.retry;
    const backoff = { baseDelayMs: judgement.longerPause ? LONGER_PAUSE * baseDelay : baseDelay, maxDelayMs: maxDelay };
    const cooldown = ofCredential ? state.cooldown : state.overload;
    const level = cooldown.levelAlone(run.source);
    if (level !== null) {
      const aloneMs = hintMs > 0 ? hintMs : equalJitter(backoff, cooldown.streakOf(run.source), random);
      return holdAlone(run, attempt, cooldown, level, aloneMs);
    }
    if (!attempt.pausesTarget) {
      cooldown.blame(now, run.source); // fewer calls do not help against random refusals
      return null;
    }
    if (hintMs === 0) {
      if (attempt.startedAt < state.rateLimitedAt) return null; // it ran when the target began to pause: of that we know
      state.rateLimitStreak++;
      state.rateLimitedAt = now;
    }
    const forMs = hintMs > 0 ? hintMs : equalJitter(backoff, state.rateLimitStreak, random);
    cooldown.refused(now, run.source, now + forMs, 'cooldown');
    const subject = ofCredential ? state.limitedAs : state.name;
    return { type: 'cooldown', at: now, subject, kind: 'cooldown', forMs, reason: judgement.reason };
  }
  if (judgement.effect === 'bench' || judgement.effect === 'suspect') return blameCredential(run, attempt, failure, judgement);
  if (hintMs <= 0 || judgement.verdict !== 'retry') return null;
  const level = state.breaker.levelAlone(run.source) ?? state.overload.levelAlone(run.source);
  if (level !== null) return holdAlone(run, attempt, state.overload, level, hintMs);
  state.overload.refused(now, run.source, now + hintMs, 'bench');
  return { type: 'cooldown', at: now, subject: state.name, kind: 'cooldown', forMs: hintMs, reason: judgement.reason };
}

/** Others are served meanwhile: the pause is for this client, or this request, alone. */
function holdAlone(run: RequestRun, attempt: Attempt, cooldown: Cooldown, level: BlameLevel, forMs: number): null {
  const now = run.engine.clock.now();
  cooldown.holdAlone(now, run.source, level, now + forMs);
  run.note(`others are served meanwhile: the pause of ${Math.round(forMs)} ms is for this ${level} alone`, attempt.options.target);
  return null;
}

/** The wait that the provider asks for, in milliseconds; 0: none, or one that makes no sense. */
export function askedWaitMs(failure: Failure): number {
  return failure.retryAfterMs ?? 0;
}

function isEmptyAgain(run: RequestRun, attempt: Attempt): boolean {
  const { target } = attempt.options;
  return run.failures.filter((failed) => isSamePlace(failed.target, target) && failed.failure.kind === 'empty').length >= EMPTY_ANSWERS_MAX;
}

/** Our own backoff; where the target pauses for everybody, that pause is the wait. */
function repeatDelayMs(run: RequestRun, attempt: Attempt, failure: Failure, judgement: Judgement): number {
  const { retry } = attempt.options.target.policy;
  const hintMs = askedWaitMs(failure);
  if (hintMs > retry.maxRetryAfter) return Infinity;
  if (judgement === STALE_CONNECTION.judgement) return 0;
  const isPaused = judgement.effect === 'cooldown' && attempt.pausesTarget && attempt.options.target.state.credential.auth !== 'caller';
  if (isPaused || hintMs > 0) return hintMs;
  const repeats = run.failures.filter((failed) => isSamePlace(failed.target, attempt.options.target)).length;
  return fullJitter({ baseDelayMs: retry.baseDelay, maxDelayMs: retry.maxDelay }, repeats, run.engine.random);
}

/** This target can't answer; unless the reason lies in its credential, no other one of the same model can either. */
function markDead(run: RequestRun, attempt: Attempt, failure: Failure, judgement: Judgement): void {
  const { target } = attempt.options;
  run.tried.markDead(target);
  if (isOfCredential(judgement) || (errorStatusOf(failure) === 404 && mayBeHeldElsewhere(run, target))) return;
  for (const other of run.tiers.flat()) if (isSamePlace(other, target)) run.tried.markDead(other);
}

/**
 * When this request may ask the target again. What lies in the target itself is no better with another key: its other credentials
 * count as asked too, so that an outage uses up neither the attempts meant for other targets nor more than the retry budget.
 */
function pauseForRun(run: RequestRun, target: RouteTarget, judgement: Judgement, until: Instant): void {
  run.tried.pause(target, until);
  if (isOfCredential(judgement)) return;
  for (const tier of run.tiers) {
    for (const other of tier) {
      if (other === target || !isSamePlace(other, target)) continue;
      run.tried.markAsked(other);
      run.tried.pause(other, until);
    }
  }
}

/** Limits, quota and keys belong to a credential: another one of the same provider may well be served. */
function isOfCredential(judgement: Judgement): boolean {
  return judgement.blame !== null || (judgement.effect === 'cooldown' && judgement.reason === 'rate_limited');
}

/** The same model of the same provider, by whatever credential. */
function isSamePlace(a: RouteTarget, b: RouteTarget): boolean {
  return a.state.name === b.state.name;
}
