/** What is left out of a body for a target that can't read it. */
import { cutsOf, OPENING, UNSIGNED_CALL } from '../../wire/opaque/opaque.ts';
import type { OpaquePiece } from '../../wire/opaque/opaque.ts';
import type { RequestRun } from '../run.ts';
import type { RouteTarget } from '../route.ts';
import { callerBody, isConverted } from '../sent-body.ts';
import { lookInto, piecesIn, placeOf, readingOf, writtenOut } from './pieces.ts';
import type { BodyCut, StripLevel } from './pieces.ts';

/** Null: the target gets the body whole. */
export function cutFor(run: RequestRun, target: RouteTarget, level: StripLevel): BodyCut | null {
  const { request } = run;
  // A conversion carries no piece of another dialect.
  if (isConverted(request, target.state)) return null;
  if (callerBody(request, target.state) !== writtenOut(request)) return null;
  const isWanting = wantsMore(run, target);
  if (isWanting) lookInto(request);
  const inBody = piecesIn(request);
  const removed = inBody.pieces.length === 0 ? NONE : removedFor(run, target, level, inBody.pieces);
  if (removed.length === 0 && !isWanting) return null;
  const drop = inBody.droppedWith(new Set(removed), isWanting);
  if (removed.length === 0 && drop.length === 0) return null;
  const left = removed.filter(({ id }) => id !== UNSIGNED_CALL).map(({ field }) => field);
  return { level, removed, cuts: cutsOf(removed, target.state.model), drop, fields: [...new Set([...left, ...drop])] };
}

const NONE: readonly OpaquePiece[] = [];

/** The target has refused a conversation for what others do without. */
function wantsMore({ request, engine }: RequestRun, { state }: RouteTarget): boolean {
  const { wanted } = request.dialect.opaque;
  const { operation, thinks } = request.facts;
  if (wanted === null || operation !== 'chat' || (wanted === OPENING && !thinks)) return false;
  return engine.makers.reading(engine.clock.epochMs(), wanted, placeOf(request, state)) === 'foreign';
}

function removedFor(run: RequestRun, { state }: RouteTarget, level: StripLevel, pieces: readonly OpaquePiece[]): OpaquePiece[] {
  const { makers, clock } = run.engine;
  const place = placeOf(run.request, state);
  const nowMs = clock.epochMs();
  return pieces.filter((piece) => {
    if (piece.kind === 'state' || (piece.slot === null && piece.standIn === null)) return false;
    const reading = readingOf(makers, nowMs, piece, place);
    if (piece.id === UNSIGNED_CALL) return reading === 'foreign';
    return level === 'all' || reading === 'foreign' || (level === 'unknown' && (reading === 'unknown' || piece.isLone === true));
  });
}

export function noteCut(run: RequestRun, target: RouteTarget, { removed, drop }: BodyCut): void {
  const counts = new Map<string, number>();
  for (const { field, id } of removed) if (id !== UNSIGNED_CALL) counts.set(field, (counts.get(field) ?? 0) + 1);
  const pieces = [...counts].map(([field, count]) => `${count} × ${field}`);
  if (removed.some(({ id }) => id === UNSIGNED_CALL)) run.note('calls without a signature sent with what stands for one', target);
  if (pieces.length + drop.length > 0) run.note(`left out, as the target can't read it: ${[...pieces, ...drop].join(', ')}`, target);
}
