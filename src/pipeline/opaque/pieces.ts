/** Finds the opaque items in a request (signatures, encrypted reasoning, ids), and which targets can read them. */
import { hash } from 'node:crypto';
import type { PieceOrigins, Place, Reading } from '../../policy/opaque/piece-origins.ts';
import { NOTHING_OPAQUE, UNREADABLE, UNSIGNED, UNSIGNED_CALL } from '../../wire/opaque/opaque.ts';
import type { Cut, OpaqueInBody, OpaquePiece } from '../../wire/opaque/opaque.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { TargetState } from '../route/route.ts';

/**
 * The items to remove for a target:
 * - `foreign`: items of other makers, or that the target has refused
 * - `unknown`: also items without a known maker, and reasoning without a following item
 * - `all`: also its own items
 */
export const STRIP_LEVELS = ['foreign', 'unknown', 'all'] as const;
export type StripLevel = (typeof STRIP_LEVELS)[number];

/** The parts of a body that are removed for one target. */
export interface BodyCut {
  readonly level: StripLevel;
  readonly removed: readonly OpaquePiece[];
  readonly cuts: readonly Cut[];
  /** Top-level members that are removed with them. */
  readonly drop: readonly string[];
  /** The names of the removed parts for logs, each once. */
  readonly fields: readonly string[];
}

const found = new WeakMap<RequestBody, OpaqueInBody>();

/**
 * The opaque items of a request, found once per body, and only if its scan has found names of such items. An expanded conversation contains
 * the items it refers to.
 */
export function piecesIn(request: GatewayRequest): OpaqueInBody {
  const { dialect } = request;
  const body = writtenOut(request);
  if (body.opaque !== true) return NOTHING_OPAQUE;
  let pieces = found.get(body);
  if (pieces === undefined) found.set(body, (pieces = dialect.opaque.find(body)));
  return pieces;
}

/** The body with the relevant items: the expanded conversation, if there is one. */
export function writtenOut({ body, history }: GatewayRequest): RequestBody {
  return history?.body ?? body;
}

/** Makes `piecesIn` search the body regardless of its scan. */
export function lookInto(request: GatewayRequest): void {
  (writtenOut(request) as { opaque?: boolean }).opaque = true;
}

/** The maker and reader of items at a target: with forwarded keys each caller has its own account. */
export function placeOf({ callerCredential }: GatewayRequest, { provider, model, credential }: TargetState): Place {
  const isOwn = credential.auth !== 'caller' || callerCredential === null;
  const account = isOwn ? credential.id : `${credential.id}:${hash('sha256', callerCredential, 'hex').slice(0, 16)}`;
  return { provider, account, model };
}

/** Whether calls are signed depends on the provider only, not on account and model. */
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

/** True if the request contains signed reasoning that becomes invalid if this member changes. */
export function isBound(request: GatewayRequest, field: string): boolean {
  return request.dialect.opaque.bound.has(field) && piecesIn(request).pieces.some(({ kind }) => kind === 'reasoning');
}
