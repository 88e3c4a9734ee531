/** The limit of each phase of a response. */
import type { Instant } from '../core/clock.ts';
import type { Phase } from '../core/facts.ts';
import type { PhaseLimit } from './phase-timer.ts';
import type { GuardLimits } from './guard-listener.ts';

/** Timeout of the body of an error status, in ms: the status is known already. */
const ERROR_BODY_WAIT_MS = 2000;
/** Timeout of usage and terminator after the last choice of a stream has ended, in ms. */
const TAIL_WAIT_MS = 2000;

export const NEVER: PhaseLimit = { at: Infinity, kind: 'timeout' };

/** What was missing at a timeout, by phase. */
export const MISSING: Readonly<Record<Phase, string>> = {
  connect: 'no connection',
  headers: 'no response headers',
  first_content: 'no content',
  answer: 'no further content',
  committed: 'no further content',
};

/** The instants of a response so far. */
export interface PhaseTimes {
  readonly startedAt: Instant;
  readonly sentAt: Instant;
  /** An error status came; null: none has. */
  readonly errorAt: Instant | null;
  /** When the last content arrived. */
  readonly contentAt: Instant;
  /** When the last choice of a stream ended; Infinity: not yet. */
  readonly completeAt: Instant;
  /** The reader is slow: silence is not the provider's. */
  readonly isPaused: boolean;
}

/** The current limit of a phase. */
export function phaseLimit(phase: Phase, times: PhaseTimes, limits: GuardLimits, now: Instant): PhaseLimit {
  switch (phase) {
    case 'connect': {
      const limit = cut(limits, times.startedAt + limits.connectMs);
      // The check at the start of an attempt is free: no limit of silence can be reached yet.
      return now === times.startedAt ? limit : sooner(limit, limits.silenceLimit(now, 0, phase));
    }
    case 'headers':
      return sooner(cut(limits, times.sentAt + limits.headersMs), limits.silenceLimit(now, times.sentAt, phase));
    case 'first_content':
      if (times.errorAt !== null) return cut(limits, times.errorAt + Math.min(ERROR_BODY_WAIT_MS, limits.firstContentMs));
      return sooner(
        cut(limits, Math.min(times.sentAt + limits.firstContentMs, times.completeAt + TAIL_WAIT_MS)),
        limits.silenceLimit(now, times.sentAt, phase),
      );
    case 'answer':
      return times.isPaused ? NEVER : cut(limits, idleEnds(times, limits));
    case 'committed':
      return times.isPaused ? NEVER : { at: idleEnds(times, limits), kind: 'timeout' };
  }
}

/** A stream whose choices have ended is closed soon after, even while keep-alives arrive. */
function idleEnds({ contentAt, completeAt }: PhaseTimes, { idleMs }: GuardLimits): Instant {
  return Math.min(contentAt + idleMs, completeAt + TAIL_WAIT_MS);
}

function cut({ attemptEnds }: GuardLimits, at: Instant): PhaseLimit {
  return { at: Math.min(at, attemptEnds), kind: 'timeout' };
}

function sooner(limit: PhaseLimit, other: PhaseLimit): PhaseLimit {
  return other.at < limit.at ? other : limit;
}
