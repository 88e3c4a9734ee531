/** What is left out of a body for a target that can't read it. */
import { cutsOf, OPENING } from '../../wire/opaque/opaque.ts';
import type { OpaquePiece } from '../../wire/opaque/opaque.ts';
import type { RequestRun } from '../run.ts';
import type { RouteTarget } from '../route.ts';
import { callerBody, isConverted } from '../sent-body.ts';
import { piecesIn, placeOf, readingOf, writtenOut } from './pieces.ts';
import type { BodyCut, StripLevel } from './pieces.ts';

/** Null: the target gets the body whole. */
export function cutFor(run: RequestRun, target: RouteTarget, level: StripLevel): BodyCut | null {
  const { request } = run;
  const inBody = piecesIn(request);
  // A conversion carries no piece of another dialect.
  if (inBody.pieces.length === 0 || isConverted(request, target.state)) return null;
  if (callerBody(request, target.state) !== writtenOut(request)) return null;
  const removed = removedFor(run, target, level, inBody.pieces);
  if (removed.length === 0) return null;
  const wantsOpening = run.engine.makers.reading(run.engine.clock.epochMs(), OPENING, placeOf(request, target.state)) === 'foreign';
  const drop = inBody.droppedWith(new Set(removed), wantsOpening);
  const fields = [...new Set([...removed.map(({ field }) => field), ...drop])];
  return { level, removed, cuts: cutsOf(removed, target.state.model), drop, fields };
}

function removedFor(run: RequestRun, { state }: RouteTarget, level: StripLevel, pieces: readonly OpaquePiece[]): OpaquePiece[] {
  const { makers, clock } = run.engine;
  const place = placeOf(run.request, state);
  const nowMs = clock.epochMs();
  return pieces.filter((piece) => {
    if (piece.kind === 'state' || (piece.slot === null && piece.standIn === null)) return false;
    const reading = readingOf(makers, nowMs, piece, place);
    return level === 'all' || reading === 'foreign' || (level === 'unknown' && reading === 'unknown');
  });
}

export function noteCut(run: RequestRun, target: RouteTarget, { removed, drop }: BodyCut): void {
  const counts = new Map<string, number>();
  for (const { field } of removed) counts.set(field, (counts.get(field) ?? 0) + 1);
  const pieces = [...counts].map(([field, count]) => `${count} × ${field}`);
  run.note(`left out, as the target can't read it: ${[...pieces, ...drop].join(', ')}`, target);
}
