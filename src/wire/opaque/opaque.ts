/**
 * Pieces of a conversation that only their maker can read: signatures, encrypted reasoning, ids of what one account holds. A dialect says
 * where they stand in a request (`OpaqueForms`) and collects those of a response (`ResponseFacts.opaque`).
 */
import { hash } from 'node:crypto';
import type { ResponseFacts } from '../../core/facts.ts';
import type { Span } from '../json-cursor.ts';
import type { RequestBody } from '../request-body.ts';

/**
 * - `reasoning`: can be left out; the response may be worse, and is not wrong
 * - `signature`: the same for the signature of something that stays
 * - `state`: stands for something that one account holds; without it the conversation is another one
 */
export type OpaqueKind = 'reasoning' | 'signature' | 'state';

export interface OpaquePiece {
  readonly kind: OpaqueKind;
  /** Names it for people: `thinking`, `file_id`. */
  readonly field: string;
  /** The same for the same piece, see `opaqueId`. */
  readonly id: string;
  /** Where it is taken out; null: it can't be. */
  readonly slot: Slot | null;
  /** What takes its place for models that do not take its absence; null: nothing is needed. */
  readonly standIn: StandIn | null;
  /** Reasoning that led to nothing: the response broke off after it. */
  readonly hasNoAlternative?: true;
}

/** A value that stands for any piece of its kind. */
export interface StandIn extends Span {
  readonly text: string;
  /** Names of the models that need it. */
  readonly model: RegExp;
}

/** What a body holds of them. */
export interface OpaqueInBody {
  /** In the order of the conversation. */
  readonly pieces: readonly OpaquePiece[];
  /**
   * Top-level members that the dialect does not take where these pieces are left out. `strictly`: also those that some models take all
   * the same, and that the caller itself has sent so.
   */
  droppedWith(removed: ReadonlySet<OpaquePiece>, strictly: boolean): readonly string[];
}

export interface OpaqueForms {
  /** The pieces in a body whose scan found names of theirs. */
  find(body: RequestBody): OpaqueInBody;
  /** What some models want of a conversation and others do without: `OPENING`, `UNSIGNED_CALL`; null: nothing is known. */
  readonly wanted: string | null;
  /** Members that signed reasoning may be bound to: a change to them makes it invalid. */
  readonly bound: ReadonlySet<string>;
  /** True if a later request may continue the response to this one by its id alone. */
  holdsResponse(body: RequestBody): boolean;
}

export const NOTHING_OPAQUE: OpaqueInBody = { pieces: [], droppedWith: () => [] };

/** Reasoning that was never signed: only a provider that signs nothing takes it back. */
export const UNSIGNED = 'unsigned';

/** Reasoning that a provider of another dialect made, as we have given it to a caller: no provider takes it. */
export const UNREADABLE = 'unreadable';

/** Stands for what opens a turn with reasoning: a place that has refused it wants such a turn to open so, or no reasoning at all. */
export const OPENING = 'opening';

/** Stands for a call without a signature: a place that has refused one wants the value that stands for a signature. */
export const UNSIGNED_CALL = 'unsigned call';

const ID_LENGTH = 22;

/** A hash of the piece's value, 132 bits of it. */
export function opaqueId(value: string): string {
  return value === '' ? UNSIGNED : hash('sha256', value, 'base64url').slice(0, ID_LENGTH);
}

/** Pieces that are noted of one response. */
const NOTED_MAX = 256;

/** Notes a piece of a response; `''`: reasoning without a signature. */
export function noteOpaque(facts: ResponseFacts, value: string): void {
  const noted = (facts.opaque ??= []);
  const id = opaqueId(value);
  if (noted.length < NOTED_MAX && !noted.includes(id)) noted.push(id);
}

/** An item of an array, or a member of an object. */
export interface Slot {
  readonly list: SlotList;
  readonly index: number;
}

export interface SlotList {
  readonly spans: readonly Span[];
  /** What is taken out with the last of the list; null: the list may be empty. */
  readonly within: Slot | null;
}

/** Bytes that are taken out; `text`: what stands there instead. */
export interface Cut extends Span {
  readonly text?: string;
}

/** The bytes to take out for a model, in order, each with one comma beside it where it has neighbours. */
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
    if (cut.start < end) return false; // within one that is taken out already
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
