/**
 * Opaque pieces of chat requests and responses. The protocol has none; hosts send them in members of their own: OpenRouter in
 * `reasoning_details`, LiteLLM in `thinking_blocks`, xAI in `encrypted_content`, Google in `extra_content`.
 */
import type { ResponseFacts } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { memberNamed, membersAt, objectsAt, textOf } from '../json-cursor.ts';
import type { MemberSpan } from '../json-cursor.ts';
import { recordsIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { noteOpaque, opaqueId } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaqueKind, OpaquePiece, Slot, SlotList, StandIn } from '../opaque/opaque.ts';
import type { RequestBody } from '../request-body.ts';

export const chatOpaque: OpaqueForms = {
  find: (body) => ({ pieces: piecesIn(body), droppedWith: () => [] }),
  wanted: null,
  bound: new Set(),
  holdsResponse: () => false,
};

/** Lists of reasoning, each item with its signature or its encrypted text. */
const LISTS = ['reasoning_details', 'thinking_blocks'] as const;

/** Google's models reject a call without a signature, but accept this placeholder. */
const FOREIGN_CALL_SIGNATURE = 'skip_thought_signature_validator';
const NO_SIGNATURE = { text: JSON.stringify(FOREIGN_CALL_SIGNATURE), model: /gemini/i } as const;

function piecesIn({ bytes, members }: RequestBody): OpaquePiece[] {
  const messages = members.findLast(({ name }) => name === 'messages');
  if (messages === undefined) return [];
  const reader = new MessagePieces(bytes);
  for (const { members: message } of objectsAt(bytes, messages.start)) reader.read(message);
  return reader.pieces;
}

class MessagePieces {
  readonly pieces: OpaquePiece[] = [];
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(message: readonly MemberSpan[]): void {
    const list: SlotList = { spans: message, within: null };
    for (const [index, { name, valueStart }] of message.entries()) {
      const slot: Slot = { list, index };
      if (name === 'reasoning_details' || name === 'thinking_blocks') this.#readList(name, valueStart, slot);
      else if (name === 'encrypted_content') this.#add('reasoning', name, textOf(this.#bytes, message, name), slot);
      else if (name === 'extra_content') this.#readExtra(valueStart, slot);
      else if (name === 'tool_calls') for (const { members } of objectsAt(this.#bytes, valueStart)) this.#readCall(members);
      else if (name === 'content') for (const { members } of objectsAt(this.#bytes, valueStart)) this.#readPart(members);
      else if (name === 'audio') this.#add('state', 'audio.id', textOf(this.#bytes, membersAt(this.#bytes, valueStart), 'id'), null);
    }
  }

  #readList(field: string, start: number, within: Slot): void {
    const spans = objectsAt(this.#bytes, start);
    const list: SlotList = { spans, within };
    for (const [index, { members: item }] of spans.entries()) {
      this.#add('reasoning', field, textOf(this.#bytes, item, 'signature') || textOf(this.#bytes, item, 'data'), { list, index });
    }
  }

  #readCall(call: readonly MemberSpan[]): void {
    const index = call.findIndex(({ name }) => name === 'extra_content');
    if (index >= 0) this.#readExtra(call[index]!.valueStart, { list: { spans: call, within: null }, index });
  }

  #readExtra(start: number, slot: Slot): void {
    const google = memberNamed(membersAt(this.#bytes, start), 'google');
    const members = google === undefined ? [] : membersAt(this.#bytes, google.valueStart);
    const signature = memberNamed(members, 'thought_signature');
    const value = textOf(this.#bytes, members, 'thought_signature');
    if (signature === undefined || value === FOREIGN_CALL_SIGNATURE) return;
    const standIn = { start: signature.valueStart, end: signature.end, ...NO_SIGNATURE };
    this.#add('signature', 'thought_signature', value, slot, standIn);
  }

  #readPart(part: readonly MemberSpan[]): void {
    const file = memberNamed(part, 'file');
    if (file !== undefined) this.#add('state', 'file_id', textOf(this.#bytes, membersAt(this.#bytes, file.valueStart), 'file_id'), null);
  }

  #add(kind: OpaqueKind, field: string, value: string | null, slot: Slot | null, standIn: StandIn | null = null): void {
    if (value !== null && value !== '') this.pieces.push({ kind, field, id: opaqueId(value), slot, standIn });
  }
}

/** Records the pieces of a message or delta. */
export function noteChatMessage(facts: ResponseFacts, message: Fields): void {
  for (const name of LISTS) {
    if (message[name] === undefined) continue;
    for (const item of recordsIn(message[name])) note(facts, textOrNull(item['signature']) ?? item['data']);
  }
  note(facts, message['encrypted_content']);
  note(facts, thoughtSignature(message));
  if (message['tool_calls'] !== undefined) for (const call of recordsIn(message['tool_calls'])) note(facts, thoughtSignature(call));
  const { audio } = message;
  if (isRecord(audio)) note(facts, audio['id']);
}

function thoughtSignature({ extra_content: extra }: Fields): unknown {
  const google = isRecord(extra) ? extra['google'] : null;
  return isRecord(google) ? google['thought_signature'] : null;
}

function note(facts: ResponseFacts, value: unknown): void {
  if (typeof value === 'string' && value !== '') noteOpaque(facts, value);
}
