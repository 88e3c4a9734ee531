/** Opaque pieces of Responses requests and responses: encrypted reasoning, and ids of what one account holds. */
import type { AnswerFacts } from '../../core/facts.ts';
import { itemsAt, memberNamed, membersAt, textAt, textOf } from '../json-cursor.ts';
import type { MemberSpan } from '../json-cursor.ts';
import { isRecord, readBoolean } from '../json-values.ts';
import { recordsIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { noteOpaque, opaqueId } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaqueKind, OpaquePiece, Slot, SlotList } from '../opaque/opaque.ts';
import type { BodyMember, RequestBody } from '../request-body.ts';

export const responsesOpaque: OpaqueForms = {
  find: (body) => ({ pieces: new ResponsesPieces(body.bytes).read(body), droppedWith: () => [] }),
  bound: new Set(),
  holdsResponse: ({ bytes, members }) => !members.some((member) => member.name === 'store' && readBoolean(bytes, member) === false),
};

/** Items that stand for what the provider has. */
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
      else if (member.name === 'tools') for (const { start } of itemsAt(this.#bytes, member.start)) this.#readTool(start);
    }
    return this.#pieces;
  }

  #readInput({ start }: BodyMember): void {
    const list: SlotList = { spans: itemsAt(this.#bytes, start), within: null };
    for (const [index, span] of list.spans.entries()) this.#readItem(membersAt(this.#bytes, span.start), { list, index });
  }

  /** Encrypted reasoning goes with its item: another account does not know the item's id. */
  #readItem(item: readonly MemberSpan[], slot: Slot): void {
    const type = textOf(this.#bytes, item, 'type') ?? 'message';
    const encrypted = textOf(this.#bytes, item, 'encrypted_content');
    if (type === 'reasoning') this.#add('reasoning', 'encrypted_content', encrypted, slot);
    else if (COMPACTIONS.has(type)) this.#add('state', 'compaction', encrypted, null);
    else if (type === 'item_reference') this.#add('state', 'item_reference', textOf(this.#bytes, item, 'id'), null);
    for (const name of ['content', 'output']) {
      const parts = memberNamed(item, name);
      if (parts === undefined) continue;
      for (const { start } of itemsAt(this.#bytes, parts.valueStart))
        this.#add('state', 'file_id', textOf(this.#bytes, membersAt(this.#bytes, start), 'file_id'), null);
    }
  }

  /** An id, or an object with the id. */
  #readId({ name, start, end }: BodyMember): void {
    this.#add('state', name, textOf(this.#bytes, membersAt(this.#bytes, start), 'id') ?? textAt(this.#bytes, start, end), null);
  }

  #readTool(start: number): void {
    const tool = membersAt(this.#bytes, start);
    this.#add('state', 'container', textOf(this.#bytes, tool, 'container'), null);
    const stores = memberNamed(tool, 'vector_store_ids');
    if (stores === undefined) return;
    for (const item of itemsAt(this.#bytes, stores.valueStart))
      this.#add('state', 'vector_store_ids', textAt(this.#bytes, item.start, item.end), null);
  }

  #add(kind: OpaqueKind, field: string, value: string | null, slot: Slot | null): void {
    if (value !== null && value !== '') this.#pieces.push({ kind, field, id: opaqueId(value), slot, standIn: null });
  }
}

/** Notes the pieces of a whole response, or of one that an event of its stream holds. */
export function noteResponse(facts: AnswerFacts, response: Fields): void {
  const id = textOrNull(response['id']);
  if (id !== null) facts.responseId = id;
  const { conversation } = response;
  if (isRecord(conversation)) note(facts, conversation['id']);
  for (const item of recordsIn(response['output'])) noteItem(facts, item);
}

/** Notes the pieces of one item of a response (`response.output_item.done`). */
export function noteItem(facts: AnswerFacts, item: Fields): void {
  note(facts, item['encrypted_content']);
  note(facts, item['container_id']);
}

function note(facts: AnswerFacts, value: unknown): void {
  if (typeof value === 'string' && value !== '') noteOpaque(facts, value);
}
