/** Learns from responses which target made which opaque piece. */
import { UNSIGNED, UNSIGNED_CALL, opaqueId } from '../../wire/opaque/opaque.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Engine } from '../request/engine.ts';
import { sentBody } from '../conversion/sent-body.ts';
import { piecesIn, placeOf, readingOf, unsignedAt } from '../opaque/pieces.ts';

/** Pieces of one request that are learned from, the latest ones: a caller may send any number. */
const LEARNED_MAX = 256;

/** Records the target as the maker of all opaque pieces in its response, however the attempt ended. */
export function learnMakers(engine: Engine, { facts, options }: Attempt): void {
  const { opaque, responseId } = facts;
  if (opaque === undefined && responseId === undefined) return;
  const { request, target } = options;
  const { makers, clock } = engine;
  const nowMs = clock.epochMs();
  const place = placeOf(request, target.state);
  for (const id of opaque ?? []) makers.made(nowMs, id, id === UNSIGNED ? unsignedAt(place) : place);
  if (responseId === undefined) return;
  const { dialect } = options.conversion === null ? request : target.state.wire;
  if (dialect.opaque.holdsResponse(sentBody(request, target.state))) makers.made(nowMs, opaqueId(responseId), place);
}

/** After a response has begun: the target can read the pieces that it was sent, and could not read those removed after its refusal. */
export function learnReading(engine: Engine, { options }: Attempt): void {
  const { request, target, cut } = options;
  const { pieces } = piecesIn(request);
  if (pieces.length === 0) return;
  const { makers, clock } = engine;
  const nowMs = clock.epochMs();
  const place = placeOf(request, target.state);
  for (const piece of pieces.slice(-LEARNED_MAX)) {
    if (piece.kind === 'state' && readingOf(makers, nowMs, piece, place) === 'unknown') makers.made(nowMs, piece.id, place);
  }
  if (cut === null || cut.level === 'foreign') return;
  for (const piece of cut.removed.slice(-LEARNED_MAX)) {
    if (piece.id === UNSIGNED_CALL) continue;
    if (cut.level !== 'all' && readingOf(makers, nowMs, piece, place) !== 'unknown') continue;
    makers.refused(nowMs, piece.id, piece.id === UNSIGNED ? unsignedAt(place) : place);
  }
}
