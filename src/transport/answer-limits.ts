/** How long each phase of an answer may last. */
import type { Instant } from '../core/clock.ts';
import type { Phase } from '../core/facts.ts';
import type { WatchLimit } from './answer-watch.ts';
import type { GuardLimits } from './guard-listener.ts';

/** The status has said what matters: its body is waited for this long, in ms. */
const ERROR_BODY_WAIT_MS = 2000;
/** After every choice of a stream has ended, its usage and terminator are waited for this long, in ms. */
const TAIL_WAIT_MS = 2000;

export const NEVER: WatchLimit = { at: Infinity, kind: 'timeout' };

/** What did not come in time, by phase. */
export const MISSING: Readonly<Record<Phase, string>> = {
  connect: 'no connection',
  headers: 'no response headers',
  first_content: 'no content',
  answer: 'no further content',
  committed: 'no further content',
};

/** When what happened to an answer so far. */
export interface PhaseTimes {
  readonly startedAt: Instant;
  readonly sentAt: Instant;
  /** An error status came; null: none has. */
  readonly errorAt: Instant | null;
  /** The last content came. */
  readonly contentAt: Instant;
  /** Every choice of a stream had ended; Infinity: not yet. */
  readonly completeAt: Instant;
  /** Its caller is behind: silence is ours. */
  readonly isPaused: boolean;
}

/** The limit of a phase as things stand now. */
export function phaseLimit(phase: Phase, times: PhaseTimes, limits: GuardLimits, now: Instant): WatchLimit {
  switch (phase) {
    case 'connect': {
      const limit = cut(limits, times.startedAt + limits.connectMs);
      // The first look, as the attempt begins, must cost nothing: no limit of silence has passed then.
      return now === times.startedAt ? limit : sooner(limit, limits.shorter(now, 0, phase));
    }
    case 'headers':
      return sooner(cut(limits, times.sentAt + limits.headersMs), limits.shorter(now, times.sentAt, phase));
    case 'first_content':
      if (times.errorAt !== null) return cut(limits, times.errorAt + Math.min(ERROR_BODY_WAIT_MS, limits.firstContentMs));
      return sooner(
        cut(limits, Math.min(times.sentAt + limits.firstContentMs, times.completeAt + TAIL_WAIT_MS)),
        limits.shorter(now, times.sentAt, phase),
      );
    case 'answer':
      return times.isPaused ? NEVER : cut(limits, idleEnds(times, limits));
    case 'committed':
      return times.isPaused ? NEVER : { at: idleEnds(times, limits), kind: 'timeout' };
  }
}

/** A stream that has come to its end is closed soon after, whatever keeps it open. */
function idleEnds({ contentAt, completeAt }: PhaseTimes, { idleMs }: GuardLimits): Instant {
  return Math.min(contentAt + idleMs, completeAt + TAIL_WAIT_MS);
}

function cut({ attemptEnds }: GuardLimits, at: Instant): WatchLimit {
  return { at: Math.min(at, attemptEnds), kind: 'timeout' };
}

function sooner(limit: WatchLimit, other: WatchLimit): WatchLimit {
  return other.at < limit.at ? other : limit;
}
