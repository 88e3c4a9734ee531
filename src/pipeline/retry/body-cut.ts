/** Removes what a target can't read from a body. */
import { cutsOf, OPENING, UNSIGNED_CALL } from '../../wire/opaque/opaque.ts';
import type { OpaquePiece } from '../../wire/opaque/opaque.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { RetryState } from './retry-state.ts';
import type { RouteTarget } from '../route/route.ts';
import { callerBody, isConverted } from '../conversion/sent-body.ts';
import { lookInto, piecesIn, placeOf, readingOf, writtenOut } from '../opaque/pieces.ts';
import type { BodyCut, StripLevel } from '../opaque/pieces.ts';

/** What is removed from the body for the target; null: nothing. */
export function cutFor(retry: RetryState, target: RouteTarget, level: StripLevel): BodyCut | null {
  const { active } = retry;
  const { request } = active;
  // A conversion does not carry over pieces of another dialect.
  if (isConverted(request, target.state)) return null;
  if (callerBody(request, target.state) !== writtenOut(request)) return null;
  const isMissing = lacksRequired(active, target);
  if (isMissing) lookInto(request);
  const inBody = piecesIn(request);
  const removed = inBody.pieces.length === 0 ? NONE : removedFor(retry, target, level, inBody.pieces);
  if (removed.length === 0 && !isMissing) return null;
  const drop = inBody.droppedWith(new Set(removed), isMissing);
  if (removed.length === 0 && drop.length === 0) return null;
  const left = removed.filter(({ id }) => id !== UNSIGNED_CALL).map(({ field }) => field);
  return { level, removed, cuts: cutsOf(removed, target.state.model), drop, fields: [...new Set([...left, ...drop])] };
}

const NONE: readonly OpaquePiece[] = [];

/** True if the target has refused a conversation for lack of something that other targets do without. */
function lacksRequired({ request, engine }: ActiveRequest, { state }: RouteTarget): boolean {
  const { wanted } = request.dialect.opaque;
  const { operation, usesReasoning } = request.facts;
  if (wanted === null || operation !== 'chat' || (wanted === OPENING && !usesReasoning)) return false;
  return engine.makers.reading(engine.clock.epochMs(), wanted, placeOf(request, state)) === 'foreign';
}

function removedFor(retry: RetryState, { state }: RouteTarget, level: StripLevel, pieces: readonly OpaquePiece[]): OpaquePiece[] {
  const { active } = retry;
  const { makers, clock } = active.engine;
  const place = placeOf(active.request, state);
  const nowMs = clock.epochMs();
  return pieces.filter((piece) => {
    if (piece.kind === 'state' || (piece.slot === null && piece.standIn === null)) return false;
    const reading = readingOf(makers, nowMs, piece, place);
    if (piece.id === UNSIGNED_CALL) return reading === 'foreign';
    return level === 'all' || reading === 'foreign' || (level === 'unknown' && (reading === 'unknown' || piece.hasNoAlternative === true));
  });
}

export function noteCut(retry: RetryState, target: RouteTarget, { removed, drop }: BodyCut): void {
  const { active } = retry;
  const counts = new Map<string, number>();
  for (const { field, id } of removed) if (id !== UNSIGNED_CALL) counts.set(field, (counts.get(field) ?? 0) + 1);
  const pieces = [...counts].map(([field, count]) => `${count} × ${field}`);
  if (removed.some(({ id }) => id === UNSIGNED_CALL)) active.note('tool calls without a signature sent with a placeholder', target);
  if (pieces.length + drop.length > 0) active.note(`left out, as the target can't read it: ${[...pieces, ...drop].join(', ')}`, target);
}
