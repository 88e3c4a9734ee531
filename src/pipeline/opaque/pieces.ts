/** The opaque pieces in a request, and which targets can read them. */
import { hash } from 'node:crypto';
import type { PieceOrigins, Place, Reading } from '../../policy/opaque/piece-origins.ts';
import { NOTHING_OPAQUE, UNREADABLE, UNSIGNED, UNSIGNED_CALL } from '../../wire/opaque/opaque.ts';
import type { Cut, OpaqueInBody, OpaquePiece } from '../../wire/opaque/opaque.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { TargetState } from '../route/route.ts';

/**
 * - `foreign`: what others have made, or the target has refused
 * - `unknown`: also what it is not known to have made, and reasoning that led to nothing
 * - `all`: its own pieces too
 */
export const STRIP_LEVELS = ['foreign', 'unknown', 'all'] as const;
export type StripLevel = (typeof STRIP_LEVELS)[number];

/** What is left out of a body for one target. */
export interface BodyCut {
  readonly level: StripLevel;
  readonly removed: readonly OpaquePiece[];
  readonly cuts: readonly Cut[];
  /** Top-level members that go with them. */
  readonly drop: readonly string[];
  /** What is left out, for people, each once. */
  readonly fields: readonly string[];
}

const found = new WeakMap<RequestBody, OpaqueInBody>();

/**
 * Looks into bodies only whose scan has come across names of such pieces, once into each. A conversation that is written out holds what it
 * refers to itself.
 */
export function piecesIn(request: GatewayRequest): OpaqueInBody {
  const { dialect } = request;
  const body = writtenOut(request);
  if (body.opaque !== true) return NOTHING_OPAQUE;
  let pieces = found.get(body);
  if (pieces === undefined) found.set(body, (pieces = dialect.opaque.find(body)));
  return pieces;
}

/** The body whose pieces count. */
export function writtenOut({ body, history }: GatewayRequest): RequestBody {
  return history?.body ?? body;
}

/** Looks into a body whatever its scan has come across. */
export function lookInto(request: GatewayRequest): void {
  (writtenOut(request) as { opaque?: boolean }).opaque = true;
}

/** Who makes and reads pieces at a target: with the callers' own keys each caller has an account of its own. */
export function placeOf({ callerCredential }: GatewayRequest, { provider, model, credential }: TargetState): Place {
  const isOwn = credential.auth !== 'caller' || callerCredential === null;
  const account = isOwn ? credential.id : `${credential.id}:${hash('sha256', callerCredential, 'hex').slice(0, 16)}`;
  return { provider, account, model };
}

/** Signing nothing is a habit of a provider, whatever the account and the model. */
export function unsignedAt({ provider }: Place): Place {
  return { provider, account: provider, model: '' };
}

export function readingOf(book: PieceOrigins, nowMs: number, { kind, id }: OpaquePiece, place: Place): Reading {
  if (id === UNREADABLE) return 'foreign';
  if (id === UNSIGNED_CALL) return book.reading(nowMs, id, place) === 'foreign' ? 'foreign' : 'unknown';
  if (id === UNSIGNED) return book.reading(nowMs, id, unsignedAt(place)) === 'own' ? 'own' : 'foreign';
  if (kind !== 'state') return book.reading(nowMs, id, place);
  const makers = book.makers(nowMs, id);
  if (makers.length === 0) return 'unknown';
  return makers.some(({ account }) => account === place.account) ? 'own' : 'foreign';
}

/** True if signed reasoning stands in the request, and is valid only while this member stays as it is. */
export function isBound(request: GatewayRequest, field: string): boolean {
  return request.dialect.opaque.bound.has(field) && piecesIn(request).pieces.some(({ kind }) => kind === 'reasoning');
}
