/** Refusals of opaque pieces of a conversation: the same target is retried at once without them, free of any budget. */
import type { Failure } from '../../core/facts.ts';
import { REPAIRED } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { errorSignature } from '../../policy/verdict/error-signature.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { cutFor } from './body-cut.ts';
import { piecesIn, placeOf, STRIP_LEVELS } from '../opaque/pieces.ts';
import type { BodyCut, StripLevel } from '../opaque/pieces.ts';
import { missesPiece, refusesOpaque } from '../opaque/refusal.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RetryState } from './retry-state.ts';

/**
 * If the target refuses an opaque piece, retries without those that it is not known to have made, then without any. An error that matches
 * no rule may be about pieces of unknown origin: they are removed once.
 */
export function stripAfter(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): Judgement | null {
  const { request, target, cut } = attempt.options;
  if (missesPiece(failure)) return stripAfterMissing(retry, target, cut);
  if (piecesIn(request).pieces.length === 0) return null;
  const level = cut?.level ?? 'foreign';
  if (refusesOpaque(failure)) return retryStripped(retry, target, STRIP_LEVELS.slice(STRIP_LEVELS.indexOf(level) + 1), cut, null);
  const signature = errorSignature(failure);
  const { repairs: book } = target.state;
  const now = retry.active.engine.clock.now();
  if (retry.tried.stripGuess(target) === signature) book.clear(now, STRIPPED, signature);
  const mayBeAbout = judgement.reason === 'refused' && failure.param === null && level === 'foreign';
  return mayBeAbout && !book.isCleared(now, STRIPPED, signature) ? retryStripped(retry, target, ['unknown'], cut, signature) : null;
}

/** The key under which a guess that did not help is stored. */
const STRIPPED = 'strip';

/** Retries at the first of the levels that removes more than before; null: none does. */
function retryStripped(
  retry: RetryState,
  target: RouteTarget,
  levels: readonly StripLevel[],
  cut: BodyCut | null,
  guess: string | null,
): Judgement | null {
  const removed = cut?.removed.length ?? 0;
  const level = levels.find((one) => (cutFor(retry, target, one)?.removed.length ?? 0) > removed);
  if (level === undefined) return null;
  retry.tried.strip(target, level, guess);
  retry.repairFor(target);
  return REPAIRED;
}

/** Retries for a target that requires what others do without: reasoning at the beginning of a turn, or a signature for a call. */
function stripAfterMissing(retry: RetryState, target: RouteTarget, cut: BodyCut | null): Judgement | null {
  const { active } = retry;
  const { makers, clock } = active.engine;
  const { wanted } = active.request.dialect.opaque;
  if (wanted === null) return null;
  makers.refused(clock.epochMs(), wanted, placeOf(active.request, target.state));
  const next = cutFor(retry, target, cut?.level ?? 'foreign');
  if (sizeOf(next) === sizeOf(cut)) return null;
  retry.repairFor(target);
  return REPAIRED;
}

function sizeOf(cut: BodyCut | null): number {
  return cut === null ? 0 : cut.cuts.length + cut.drop.length;
}
