/**
 * Pieces of a conversation that only their issuer can read: signatures, encrypted reasoning, ids of objects that one account holds. A
 * dialect finds them in a request (`OpaqueForms`) and collects those of a response (`ResponseFacts.opaque`).
 */
import { hash } from 'node:crypto';
import type { ResponseFacts } from '../../core/facts.ts';
import type { Span } from '../json-cursor.ts';
import type { RequestBody } from '../request-body.ts';

/**
 * - `reasoning`: can be removed; the response may be worse, but not wrong
 * - `signature`: the same, for the signature of content that remains
 * - `state`: refers to something that one account holds; without it the conversation is a different one
 */
export type OpaqueKind = 'reasoning' | 'signature' | 'state';

export interface OpaquePiece {
  readonly kind: OpaqueKind;
  /** A name for people: `thinking`, `file_id`. */
  readonly field: string;
  /** Equal for the same piece, see `opaqueId`. */
  readonly id: string;
  /** Where it is removed; null: it can't be. */
  readonly slot: Slot | null;
  /** Its replacement for models that reject its absence; null: none is needed. */
  readonly standIn: StandIn | null;
  /** Reasoning without a result: the response broke off after it. */
  readonly hasNoAlternative?: true;
}

/** A value that can replace any piece of its kind. */
export interface StandIn extends Span {
  readonly text: string;
  /** Matches the names of the models that need it. */
  readonly model: RegExp;
}

/** The opaque pieces of a body. */
export interface OpaqueInBody {
  /** In the order of the conversation. */
  readonly pieces: readonly OpaquePiece[];
  /**
   * Top-level members that the dialect rejects once these pieces are removed. `strictly`: also those that some models accept nevertheless,
   * and that the caller itself has sent in this combination.
   */
  droppedWith(removed: ReadonlySet<OpaquePiece>, strictly: boolean): readonly string[];
}

export interface OpaqueForms {
  /** Finds the pieces in a body; called if its scan found member names that dialects use for them. */
  find(body: RequestBody): OpaqueInBody;
  /** What some models require of a conversation and others do not: `OPENING`, `UNSIGNED_CALL`; null: nothing. */
  readonly wanted: string | null;
  /** Members that signed reasoning may be bound to: changing them invalidates it. */
  readonly bound: ReadonlySet<string>;
  /** True if a later request may continue the response to this request by its id alone. */
  holdsResponse(body: RequestBody): boolean;
}

export const NOTHING_OPAQUE: OpaqueInBody = { pieces: [], droppedWith: () => [] };

/** Reasoning that was never signed: only a provider that signs nothing accepts it. */
export const UNSIGNED = 'unsigned';

/** Reasoning of a provider of another dialect, as converted for a caller: no provider accepts it. */
export const UNREADABLE = 'unreadable';

/** Stands for the opening of a turn with reasoning: a target that has rejected one requires turns to open with reasoning, or to have none. */
export const OPENING = 'opening';

/** Stands for a call without a signature: a target that has rejected one requires the placeholder signature. */
export const UNSIGNED_CALL = 'unsigned call';

const ID_LENGTH = 22;

/** A hash of the piece's value, of 132 bits. */
export function opaqueId(value: string): string {
  return value === '' ? UNSIGNED : hash('sha256', value, 'base64url').slice(0, ID_LENGTH);
}

/** Pieces recorded of one response. */
const RECORDED_MAX = 256;

/** Records a piece of a response; `''`: reasoning without a signature. */
export function noteOpaque(facts: ResponseFacts, value: string): void {
  const recorded = (facts.opaque ??= []);
  const id = opaqueId(value);
  if (recorded.length < RECORDED_MAX && !recorded.includes(id)) recorded.push(id);
}

/** An item of an array, or a member of an object. */
export interface Slot {
  readonly list: SlotList;
  readonly index: number;
}

export interface SlotList {
  readonly spans: readonly Span[];
  /** Removed together with the last item of the list; null: the list may be empty. */
  readonly within: Slot | null;
}

/** A byte range that is removed; `text`: its replacement. */
export interface Cut extends Span {
  readonly text?: string;
}

/** The byte ranges to remove for a model, in order, each with one adjacent comma if it has neighbours. */
export function cutsOf(pieces: Iterable<OpaquePiece>, model: string): readonly Cut[] {
  const removed = new Map<SlotList, Set<number>>();
  const cuts: Cut[] = [];
  for (const { slot, standIn } of pieces) {
    if (standIn?.model.test(model) === true) cuts.push(standIn);
    else if (slot !== null) remove(removed, slot);
  }
  for (const [list, indexes] of removed) if (!isGone(list, indexes)) cutFrom(list.spans, indexes, cuts);
  cuts.sort((a, b) => a.start - b.start);
  let end = 0;
  return cuts.filter((cut) => {
    if (cut.start < end) return false; // inside a range that is removed already
    end = cut.end;
    return true;
  });
}

function remove(removed: Map<SlotList, Set<number>>, { list, index }: Slot): void {
  let indexes = removed.get(list);
  if (indexes === undefined) removed.set(list, (indexes = new Set()));
  indexes.add(index);
  if (isGone(list, indexes)) remove(removed, list.within!);
}

function isGone({ spans, within }: SlotList, indexes: ReadonlySet<number>): boolean {
  return within !== null && indexes.size === spans.length;
}

function cutFrom(spans: readonly Span[], indexes: ReadonlySet<number>, cuts: Cut[]): void {
  let keepsAny = false;
  for (const [i, span] of spans.entries()) {
    if (!indexes.has(i)) keepsAny = true;
    else if (keepsAny) cuts.push({ start: spans[i - 1]!.end, end: span.end });
    else cuts.push({ start: span.start, end: spans[i + 1]?.start ?? span.end });
  }
}
