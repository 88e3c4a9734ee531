/** Handles a failed attempt: closes its permit, applies the verdict to target and credential, and records the failure. */
import type { Instant } from '../../core/clock.ts';
import type { CooldownEvent } from '../../core/events.ts';
import type { Failure, TokenUsage } from '../../core/facts.ts';
import type { FailedQualityCheck } from '../../core/quality.ts';
import type { Settlement } from '../../core/resource.ts';
import type { BlameLevel } from '../../core/source.ts';
import { equalJitter, fullJitter } from '../../policy/backoff.ts';
import type { Cooldown } from '../../policy/cooldown/cooldown.ts';
import { STALE_CONNECTION, errorStatusOf, judge } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { createFailure } from '../../wire/failure.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { blameCredential, limitCredentials } from './credential-blame.ts';
import { settleAttempt } from '../settle/settle-attempt.ts';
import { learnFromFailure } from '../settle/learn.ts';
import { convertAfter, writeOutAfter } from './other-dialect.ts';
import { emitAttemptEnd } from '../settle/attempt-end.ts';
import { mayBeHeldElsewhere } from '../opaque/preference.ts';
import { renewAfter } from './renew.ts';
import { repairAfter } from './repair.ts';
import { withSecondOpinion } from './second-opinion.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RetryState } from './retry-state.ts';
import { settleCompleted } from '../settle/settle-response.ts';
import { accountHeaders } from '../attempt/upstream-headers.ts';

const NOTHING_USED: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 };

/** A silence that the caller's deadline cut short below this, or below the target's usual one, is no evidence; in milliseconds. */
const CONCLUSIVE_SILENCE_MS = 10_000;

/** Timers may be off by this, in milliseconds. */
const ROUNDING_MS = 1;

/** An empty response is retried once: a second one is likely to be followed by a third, and each is billed. */
const EMPTY_RESPONSES_MAX = 2;

/**
 * A retry after a wait that the provider named is free of the retry budget: until then the target is paused for all, and the first refusal
 * after it pauses the target again. Below this wait, in milliseconds, so many retries may fit between pauses that the budget has to apply.
 */
const REQUESTED_WAIT_MIN_MS = 500;

/** Factor of the pause for a target that asks for fewer requests overall. */
const LONGER_PAUSE = 4;

export function recordFailure(retry: RetryState, attempt: Attempt, failure: Failure): Judgement {
  const { active } = retry;
  const found = judge(failure);
  const repaired =
    renewAfter(retry, attempt, failure) ??
    writeOutAfter(retry, attempt, failure) ??
    convertAfter(retry, attempt, failure) ??
    repairAfter(retry, attempt, failure, found);
  const judgement = repaired ?? withSecondOpinion(retry, attempt, failure, found);
  const health = cutByDeadline(retry, attempt, failure) ? 'neutral' : judgement.health;
  learnFromFailure(active, attempt, failure, judgement, health);
  settleFailure(retry, attempt, failure, judgement, settlementOf(failure, health, attempt));
  const failedCheck = failure.kind === 'empty' ? failure.kind : null;
  if (failedCheck !== null) countFailedQuality(attempt, failedCheck);
  emitAttemptEnd(active, attempt, judgement.verdict, judgement.reason, failure, failedCheck);
  rememberFailure(retry, attempt, failure, judgement, repaired !== null);
  return judgement;
}

const QUALITY_MESSAGES: Readonly<Record<FailedQualityCheck, string>> = {
  empty: 'the response has no content',
  truncated: 'the response ended at its length limit',
  refused: 'the model refused',
  repetition: 'the response repeats itself',
  short: 'the response is shorter than required',
  mismatch: 'the response does not match the policy',
  schema: 'the response is not the JSON that the request asks for',
};

/** Records a complete response that failed its quality check: the target is healthy, but another one is tried. */
export function recordFailedQuality(retry: RetryState, attempt: Attempt, failedCheck: FailedQualityCheck): void {
  const { active } = retry;
  const failure = createFailure('failed_check', 'answer', QUALITY_MESSAGES[failedCheck], { status: attempt.status });
  const judgement = judge(failure);
  settleCompleted(active, attempt);
  countFailedQuality(attempt, failedCheck);
  emitAttemptEnd(active, attempt, judgement.verdict, judgement.reason, failure, failedCheck);
  rememberFailure(retry, attempt, failure, judgement);
}

function countFailedQuality(attempt: Attempt, failedCheck: FailedQualityCheck): void {
  const { failedQualityChecks } = attempt.options.target.state;
  failedQualityChecks[failedCheck] = (failedQualityChecks[failedCheck] ?? 0) + 1;
}

/** Records a failure for the attempts to come. `isRepaired`: the same target is retried with other edits. */
export function rememberFailure(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement, isRepaired = false): void {
  const { clock } = retry.active.engine;
  const { target } = attempt.options;
  const ranOut = endedByDeadline(retry, attempt, failure);
  retry.failures.push({
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
  retry.fallback ??= judgement.reason;
  if (judgement === STALE_CONNECTION.judgement || requestedWaitMs(failure) >= REQUESTED_WAIT_MIN_MS) retry.tried.waiveBudget(target);
  if (judgement.verdict === 'retry' && !isEmptyAgain(retry, attempt))
    pauseForRequest(retry, target, judgement, clock.now() + repeatDelayMs(retry, attempt, failure, judgement));
  else exclude(retry, attempt, failure, judgement);
  limitCredentials(retry, attempt, judgement);
}

/**
 * True if the caller's deadline, or the attempt's share of it, ended the attempt so early that its silence is no evidence. Under overload
 * many attempts start late: if they counted, they would open the breaker of a healthy target.
 */
function cutByDeadline(retry: RetryState, attempt: Attempt, failure: Failure): boolean {
  const knownMs = attempt.healthySilenceMs(failure.phase);
  return silentMs(retry, attempt, failure) < Math.max(CONCLUSIVE_SILENCE_MS, knownMs) && endedByDeadline(retry, attempt, failure);
}

/** True if a deadline ended the attempt, not one of its own silence limits. */
function endedByDeadline(retry: RetryState, attempt: Attempt, failure: Failure): boolean {
  const { active } = retry;
  if (failure.kind !== 'timeout') return false;
  return (
    active.engine.clock.now() >= active.deadline || silentMs(retry, attempt, failure) < attempt.ownLimitMs(failure.phase) - ROUNDING_MS
  );
}

/** How long it has been silent. A stream that is held back whole may have had content until recently. */
function silentMs(retry: RetryState, attempt: Attempt, failure: Failure): number {
  return retry.active.engine.clock.now() - (failure.phase === 'answer' ? attempt.lastContentAt : attempt.startedAt);
}

function settlementOf(failure: Failure, health: Settlement['health'], attempt: Attempt): Settlement {
  if (!attempt.sent) return { usage: null, health, unsent: true };
  return { usage: failure.kind === 'status' ? NOTHING_USED : attempt.facts.usage, health };
}

/**
 * Closes the permit of a failed attempt, and applies its verdict to target and credential. Pauses are set first, so that no waiting request
 * starts at a paused target.
 */
export function settleFailure(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement, settlement: Settlement): void {
  const { active } = retry;
  const { engine } = active;
  const { target, permit } = attempt.options;
  const paused = pauseFor(retry, attempt, failure, judgement);
  const pauseUntil = paused === null ? -Infinity : engine.clock.now() + requestedWaitMs(failure);
  settleAttempt(engine, target, permit, settlement, pauseUntil);
  if (paused !== null) engine.events.emit(paused);
  const heldMs = judgement.health === 'failure' ? target.state.breaker.heldForMs(engine.clock.now(), active.source) : 0;
  if (heldMs > 0) active.note(`fails for this client or request alone: its next trial there in ${Math.round(heldMs)} ms`, target);
}

/** Pauses the target, or suspects or quarantines its credential; returns the event, or null. */
function pauseFor(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): CooldownEvent | null {
  const { active } = retry;
  const { clock, random } = active.engine;
  const { state, policy } = attempt.options.target;
  const now = clock.now();
  const hintMs = requestedWaitMs(failure);
  if (judgement.effect === 'cooldown') {
    const ofCredential = isOfCredential(judgement);
    if (ofCredential && state.credential.auth === 'caller') return null; // the caller's own limit does not affect others
    const { baseDelay, maxDelay } = policy.retry;
    const backoff = { baseDelayMs: judgement.longerPause ? LONGER_PAUSE * baseDelay : baseDelay, maxDelayMs: maxDelay };
    const cooldown = ofCredential ? state.cooldown : state.overload;
    const level = cooldown.soleCauseLevel(active.source);
    if (level !== null) {
      const aloneMs = hintMs > 0 ? hintMs : equalJitter(backoff, cooldown.streakOf(active.source), random);
      return pauseAlone(retry, attempt, cooldown, level, aloneMs);
    }
    if (!attempt.pausesTarget) {
      cooldown.blame(now, active.source); // a pause does not help against random refusals
      return null;
    }
    if (hintMs === 0) {
      if (attempt.startedAt < state.rateLimitedAt) return null; // started before the current pause
      state.rateLimitStreak++;
      state.rateLimitedAt = now;
    }
    const forMs = hintMs > 0 ? hintMs : equalJitter(backoff, state.rateLimitStreak, random);
    cooldown.refused(now, active.source, now + forMs, 'cooldown');
    const subject = ofCredential ? state.cooldownSubject : state.name;
    return { type: 'cooldown', at: now, subject, kind: 'cooldown', forMs, reason: judgement.reason };
  }
  if (judgement.effect === 'quarantine' || judgement.effect === 'suspect') return blameCredential(retry, attempt, failure, judgement);
  if (hintMs <= 0 || judgement.verdict !== 'retry') return null;
  const level = state.breaker.soleCauseLevel(active.source) ?? state.overload.soleCauseLevel(active.source);
  if (level !== null) return pauseAlone(retry, attempt, state.overload, level, hintMs);
  state.overload.refused(now, active.source, now + hintMs, 'pause');
  return { type: 'cooldown', at: now, subject: state.name, kind: 'cooldown', forMs: hintMs, reason: judgement.reason };
}

/** Pauses the target for this client or request only, as others are served. */
function pauseAlone(retry: RetryState, attempt: Attempt, cooldown: Cooldown, level: BlameLevel, forMs: number): null {
  const { active } = retry;
  const now = active.engine.clock.now();
  cooldown.pauseSource(now, active.source, level, now + forMs);
  active.note(`others are served meanwhile: the pause of ${Math.round(forMs)} ms is for this ${level} alone`, attempt.options.target);
  return null;
}

/** The wait that the provider asks for, in milliseconds; 0: none, or an invalid one. */
export function requestedWaitMs(failure: Failure): number {
  return failure.retryAfterMs ?? 0;
}

function isEmptyAgain(retry: RetryState, attempt: Attempt): boolean {
  const { target } = attempt.options;
  return (
    retry.failures.filter((failed) => isSameModel(failed.target, target) && failed.failure.kind === 'empty').length >= EMPTY_RESPONSES_MAX
  );
}

/** The default backoff; if the target is paused for all, the pause replaces it. */
function repeatDelayMs(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): number {
  const { baseDelay, maxDelay, maxRetryAfter } = attempt.options.target.policy.retry;
  const hintMs = requestedWaitMs(failure);
  if (hintMs > maxRetryAfter) return Infinity;
  if (judgement === STALE_CONNECTION.judgement) return 0;
  const isPaused = judgement.effect === 'cooldown' && attempt.pausesTarget && attempt.options.target.state.credential.auth !== 'caller';
  if (isPaused || hintMs > 0) return hintMs;
  const repeats = retry.failures.filter((failed) => isSameModel(failed.target, attempt.options.target)).length;
  return fullJitter({ baseDelayMs: baseDelay, maxDelayMs: maxDelay }, repeats, retry.active.engine.random);
}

/** Excludes the target, and its other credentials unless the failure is about the credential. */
function exclude(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): void {
  const { target } = attempt.options;
  retry.tried.exclude(target);
  if (isOfCredential(judgement) || (errorStatusOf(failure) === 404 && mayBeHeldElsewhere(retry.active, target))) return;
  for (const other of retry.tiers.flat()) if (isSameModel(other, target)) retry.tried.exclude(other);
}

/**
 * Sets when this request may retry the target. A failure of the target is the same with every key: its other credentials count as tried,
 * so that an outage consumes neither the attempts left for other targets nor extra retry budget.
 */
function pauseForRequest(retry: RetryState, target: RouteTarget, judgement: Judgement, until: Instant): void {
  const { tried } = retry;
  tried.pause(target, until);
  if (isOfCredential(judgement)) return;
  for (const tier of retry.tiers) {
    for (const other of tier) {
      if (other === target || !isSameModel(other, target)) continue;
      tried.markTried(other);
      tried.pause(other, until);
    }
  }
}

/** Limits, quota and keys belong to a credential: another one of the same provider may be served. */
function isOfCredential(judgement: Judgement): boolean {
  return judgement.blame !== null || (judgement.effect === 'cooldown' && judgement.reason === 'rate_limited');
}

/** The same model of the same provider, with any credential. */
function isSameModel(a: RouteTarget, b: RouteTarget): boolean {
  return a.state.name === b.state.name;
}
