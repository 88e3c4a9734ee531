/** Opaque values of Messages requests and responses: signed thinking, and ids of what one account stores. */
import type { ResponseFacts } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { memberNamed, membersAt, objectsAt, textAt, textOf } from '../json-cursor.ts';
import type { MemberSpan } from '../json-cursor.ts';
import { ownOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { OPENING, noteOpaque, opaqueId, UNREADABLE } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaqueInBody, OpaquePiece, Slot, SlotList } from '../opaque/opaque.ts';
import type { BodyMember, RequestBody } from '../request-body.ts';
import { FOREIGN_SIGNATURE } from './write-response.ts';

export const messagesOpaque: OpaqueForms = {
  find: (body) => new MessagesPieces(body).found,
  wanted: OPENING,
  // The API validates everything before a thinking block against its signature.
  bound: new Set(['system', 'tools', 'messages']),
  holdsResponse: ({ members }) => members.some(({ name }) => name === 'thread'),
};

/** The member that holds the opaque value, by type of reasoning block. */
const REASONING: Readonly<Record<string, string>> = { thinking: 'signature', redacted_thinking: 'data' };

/** The blocks of the last assistant message; null for a block that is not reasoning. */
interface LastMessage {
  readonly blocks: readonly (OpaquePiece | null)[];
  readonly callsTool: boolean;
}

class MessagesPieces {
  readonly #bytes: Uint8Array;
  readonly #body: RequestBody;
  readonly #pieces: OpaquePiece[] = [];
  #last: LastMessage | null = null;
  #callsTool = false;

  constructor(body: RequestBody) {
    this.#body = body;
    this.#bytes = body.bytes;
  }

  get found(): OpaqueInBody {
    const messages = this.#member('messages');
    if (messages !== undefined) this.#readMessages(messages);
    this.#readContainer(this.#member('container'));
    this.#readThread(this.#member('thread'));
    return { pieces: this.#pieces, droppedWith: (removed, strictly) => this.#droppedWith(removed, strictly) };
  }

  #member(name: string): BodyMember | undefined {
    return this.#body.members.findLast((member) => member.name === name);
  }

  #readMessages({ start }: BodyMember): void {
    const spans = objectsAt(this.#bytes, start);
    const list: SlotList = { spans, within: null };
    for (const [index, { members }] of spans.entries()) {
      const content = memberNamed(members, 'content');
      if (content === undefined) continue;
      const isAssistant = textOf(this.#bytes, members, 'role') === 'assistant';
      this.#readContent(content.valueStart, isAssistant ? { list, index } : null);
    }
  }

  /** `within`: the message that removing a block may leave empty; null if its reasoning is not from the model. */
  #readContent(start: number, within: Slot | null): void {
    const spans = objectsAt(this.#bytes, start);
    const list: SlotList = { spans, within };
    this.#callsTool = false;
    const blocks = spans.map(({ members }, index) => this.#readBlock(members, within === null ? null : { list, index }));
    if (within !== null) this.#last = { blocks, callsTool: this.#callsTool };
  }

  #readBlock(block: readonly MemberSpan[], slot: Slot | null): OpaquePiece | null {
    const type = textOf(this.#bytes, block, 'type') ?? '';
    const valueMember = ownOf(REASONING, type);
    if (valueMember !== undefined) return this.#add('reasoning', type, textOf(this.#bytes, block, valueMember) ?? '', slot);
    if (type === 'tool_use') this.#callsTool = true;
    else if (type === 'compaction') this.#readCompaction(block);
    else if (type === 'tool_result') this.#readResult(block);
    else if (type === 'container_upload') this.#addState('file_id', textOf(this.#bytes, block, 'file_id'));
    else this.#readSource(memberNamed(block, 'source'));
    return null;
  }

  #readResult(block: readonly MemberSpan[]): void {
    const content = memberNamed(block, 'content');
    if (content !== undefined) for (const { members } of objectsAt(this.#bytes, content.valueStart)) this.#readBlock(members, null);
  }

  #readSource(source: MemberSpan | undefined): void {
    if (source !== undefined) this.#addState('file_id', textOf(this.#bytes, membersAt(this.#bytes, source.valueStart), 'file_id'));
  }

  #readCompaction(block: readonly MemberSpan[]): void {
    this.#addState('compaction', textOf(this.#bytes, block, 'encrypted_content') ?? textOf(this.#bytes, block, 'content'));
  }

  /** A string, or an object with an `id`. */
  #readContainer(member: BodyMember | undefined): void {
    if (member === undefined) return;
    this.#addState('container', this.#textIn(member, 'id') ?? textAt(this.#bytes, member.start, member.end));
  }

  #readThread(member: BodyMember | undefined): void {
    if (member !== undefined) this.#addState('thread', this.#textIn(member, 'previous_message_id'));
  }

  #textIn({ start }: BodyMember, name: string): string | null {
    return textOf(this.#bytes, membersAt(this.#bytes, start), name);
  }

  #addState(field: string, value: string | null): void {
    if (value !== null && value !== '') this.#add('state', field, value, null);
  }

  #add(kind: OpaquePiece['kind'], field: string, value: string, slot: Slot | null): OpaquePiece {
    const piece = { kind, field, id: value === FOREIGN_SIGNATURE ? UNREADABLE : opaqueId(value), slot, standIn: null };
    this.#pieces.push(piece);
    return piece;
  }

  /**
   * With a thinking budget, a last assistant message that calls a tool must start with a thinking block. If that block is removed, the budget
   * is removed as well, and with it the context edits that require thinking. Models with adaptive thinking mostly accept its absence.
   */
  #droppedWith(removed: ReadonlySet<OpaquePiece>, strictly: boolean): readonly string[] {
    if (this.#last?.callsTool !== true) return [];
    const [first = null] = this.#last.blocks;
    const opening = this.#last.blocks.find((block) => block === null || !removed.has(block));
    const isOurDoing = first !== null && removed.has(first);
    if (opening !== null || !(isOurDoing || strictly)) return [];
    const thinking = this.#member('thinking');
    const type = thinking === undefined ? 'disabled' : this.#textIn(thinking, 'type');
    if (type === 'disabled' || (type !== 'enabled' && !strictly)) return [];
    const edits = this.#member('context_management');
    return edits !== undefined && this.#holds(edits, 'clear_thinking') ? ['thinking', 'context_management'] : ['thinking'];
  }

  #holds({ start, end }: BodyMember, word: string): boolean {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).includes(word);
  }
}

/** Collects the opaque values of a response's blocks. */
export class BlockValues {
  readonly #facts: ResponseFacts;
  /** Values of open blocks by index; `''` is reasoning without a signature so far. */
  readonly #open = new Map<unknown, string>();

  constructor(facts: ResponseFacts) {
    this.#facts = facts;
  }

  start(index: unknown, block: Fields): void {
    const value = opaqueInBlock(block);
    if (value !== null && this.#open.size < OPEN_BLOCKS_MAX) this.#open.set(index, value);
  }

  delta(index: unknown, delta: Fields): void {
    const signature = textOrNull(delta['signature']);
    if (signature !== null) this.#open.set(index, signature);
    else if (delta['type'] === 'compaction_delta') this.#open.set(index, (this.#open.get(index) ?? '') + textIn(delta['content']));
  }

  stop(index: unknown): void {
    const value = this.#open.get(index);
    if (value === undefined) return;
    this.#open.delete(index);
    noteOpaque(this.#facts, value);
  }
}

const OPEN_BLOCKS_MAX = 64;

/** Records the opaque values of a complete message. */
export function noteMessage(facts: ResponseFacts, message: Fields): void {
  for (const block of recordsIn(message['content'])) {
    const value = opaqueInBlock(block);
    if (value !== null) noteOpaque(facts, value);
  }
  noteHead(facts, message);
}

/** Records the ids by which later requests can refer to state that the account stores for a message. */
export function noteHead(facts: ResponseFacts, message: Fields): void {
  const { container } = message;
  const id = isRecord(container) ? textOrNull(container['id']) : null;
  if (id !== null) noteOpaque(facts, id);
  const messageId = textOrNull(message['id']);
  if (messageId !== null) facts.responseId = messageId;
}

/** The value of a complete block or of its start event; `''` for reasoning without a signature, null if there is none. */
function opaqueInBlock(block: Fields): string | null {
  switch (block['type']) {
    case 'thinking':
      return textIn(block['signature']);
    case 'redacted_thinking':
      return textIn(block['data']);
    case 'compaction':
      return textOrNull(block['encrypted_content']) ?? textIn(block['content']);
    default:
      return null;
  }
}
