/** Opaque values of Responses requests and responses: encrypted reasoning, and ids of what one account stores. */
import type { ResponseFacts } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { itemsAt, memberNamed, membersAt, objectsAt, textAt, textOf } from '../json-cursor.ts';
import type { MemberSpan } from '../json-cursor.ts';
import { readBoolean } from '../json-values.ts';
import { recordsIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { noteOpaque, opaqueId, UNREADABLE } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaqueKind, OpaquePiece, Slot, SlotList } from '../opaque/opaque.ts';
import type { BodyMember, RequestBody } from '../request-body.ts';
import { FOREIGN_REASONING_PREFIX } from './output-items.ts';

export const responsesOpaque: OpaqueForms = {
  find: (body) => ({ pieces: new ResponsesPieces(body.bytes).read(body), droppedWith: () => [] }),
  wanted: null,
  bound: new Set(),
  holdsResponse: ({ bytes, members }) => !members.some((member) => member.name === 'store' && readBoolean(bytes, member) === false),
};

/** Items that replace history stored at the provider. */
const COMPACTIONS: ReadonlySet<string> = new Set(['compaction', 'compaction_summary']);

class ResponsesPieces {
  readonly #bytes: Uint8Array;
  readonly #pieces: OpaquePiece[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read({ members }: RequestBody): readonly OpaquePiece[] {
    for (const member of members) {
      if (member.name === 'input') this.#readInput(member);
      else if (member.name === 'previous_response_id' || member.name === 'conversation') this.#readId(member);
      else if (member.name === 'tools') for (const tool of objectsAt(this.#bytes, member.start)) this.#readTool(tool.members);
    }
    return this.#pieces;
  }

  #readInput({ start }: BodyMember): void {
    const spans = objectsAt(this.#bytes, start);
    const list: SlotList = { spans, within: null };
    for (const [index, { members }] of spans.entries())
      this.#readItem(members, { list, index }, this.#isFromCaller(spans[index + 1]?.members));
  }

  /** True for the end of the input, a message that is not the assistant's, or a tool result. */
  #isFromCaller(item: readonly MemberSpan[] | undefined): boolean {
    if (item === undefined) return true;
    const type = textOf(this.#bytes, item, 'type') ?? 'message';
    return type.endsWith('_output') || (type === 'message' && textOf(this.#bytes, item, 'role') !== 'assistant');
  }

  /** Encrypted reasoning is dropped together with its item: the item's id is unknown to other accounts. */
  #readItem(item: readonly MemberSpan[], slot: Slot, isLast: boolean): void {
    const type = textOf(this.#bytes, item, 'type') ?? 'message';
    const encrypted = textOf(this.#bytes, item, 'encrypted_content');
    if (type === 'reasoning') this.#addReasoning(encrypted, textOf(this.#bytes, item, 'id'), slot, isLast);
    else if (COMPACTIONS.has(type)) this.#add('state', 'compaction', encrypted, null);
    else if (type === 'item_reference') this.#add('state', 'item_reference', textOf(this.#bytes, item, 'id'), null);
    for (const name of ['content', 'output']) {
      const parts = memberNamed(item, name);
      if (parts === undefined) continue;
      for (const { members } of objectsAt(this.#bytes, parts.valueStart))
        this.#add('state', 'file_id', textOf(this.#bytes, members, 'file_id'), null);
    }
  }

  /** Without encrypted content, the item is an id of reasoning stored at the provider, valid for one account only. */
  #addReasoning(encrypted: string | null, id: string | null, slot: Slot, hasNoAlternative: boolean): void {
    if (encrypted !== null && encrypted !== '') this.#add('reasoning', 'encrypted_content', encrypted, slot, hasNoAlternative);
    else if (id?.startsWith(FOREIGN_REASONING_PREFIX) === true)
      this.#pieces.push({ kind: 'reasoning', field: 'reasoning', id: UNREADABLE, slot, standIn: null });
    else this.#add('reasoning', 'reasoning', id, slot, hasNoAlternative);
  }

  /** A string, or an object with an `id`. */
  #readId({ name, start, end }: BodyMember): void {
    this.#add('state', name, textOf(this.#bytes, membersAt(this.#bytes, start), 'id') ?? textAt(this.#bytes, start, end), null);
  }

  #readTool(tool: readonly MemberSpan[]): void {
    this.#add('state', 'container', textOf(this.#bytes, tool, 'container'), null);
    const stores = memberNamed(tool, 'vector_store_ids');
    if (stores === undefined) return;
    for (const item of itemsAt(this.#bytes, stores.valueStart))
      this.#add('state', 'vector_store_ids', textAt(this.#bytes, item.start, item.end), null);
  }

  #add(kind: OpaqueKind, field: string, value: string | null, slot: Slot | null, hasNoAlternative = false): void {
    if (value === null || value === '') return;
    this.#pieces.push({ kind, field, id: opaqueId(value), slot, standIn: null, ...(hasNoAlternative && { hasNoAlternative }) });
  }
}

/** Records the opaque values of a response object, whether it is a body or part of a stream event. */
export function noteResponse(facts: ResponseFacts, response: Fields): void {
  const id = textOrNull(response['id']);
  if (id !== null) facts.responseId = id;
  const { conversation } = response;
  if (isRecord(conversation)) note(facts, conversation['id']);
  for (const item of recordsIn(response['output'])) noteItem(facts, item);
}

/** Records the opaque values of one output item (`response.output_item.done`). */
export function noteItem(facts: ResponseFacts, item: Fields): void {
  note(facts, item['encrypted_content'] ?? (item['type'] === 'reasoning' ? item['id'] : null));
  note(facts, item['container_id']);
}

function note(facts: ResponseFacts, value: unknown): void {
  if (typeof value === 'string' && value !== '') noteOpaque(facts, value);
}
