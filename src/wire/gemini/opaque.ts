/** Opaque pieces of Gemini requests and responses: thought signatures, and names of what one project holds. */
import type { AnswerFacts } from '../../core/facts.ts';
import { itemsAt, memberNamed, membersAt, textAt, textOf } from '../json-cursor.ts';
import type { MemberSpan } from '../json-cursor.ts';
import { isRecord } from '../json-values.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { noteOpaque, opaqueId } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaquePiece, Slot, SlotList } from '../opaque/opaque.ts';
import type { RequestBody } from '../request-body.ts';

export const geminiOpaque: OpaqueForms = {
  find: (body) => ({ pieces: new GeminiPieces(body.bytes).read(body), droppedWith: () => [] }),
  bound: new Set(),
  holdsResponse: () => false,
};

const SIGNATURES: ReadonlySet<string> = new Set(['thoughtSignature', 'thought_signature']);

/** Uploads of the Files API; other addresses can be read from anywhere. */
const UPLOAD = /\/v\d\w{0,10}\/files\/|^files\//;

/** A call is refused without a signature; this one is taken in its place. */
const NO_SIGNATURE = { text: '"skip_thought_signature_validator"', model: /./ } as const;

class GeminiPieces {
  readonly #bytes: Uint8Array;
  readonly #pieces: OpaquePiece[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read({ members }: RequestBody): readonly OpaquePiece[] {
    for (const { name, start, end } of members) {
      if (name === 'contents') this.#readContents(start);
      else if (name === 'cachedContent' || name === 'cached_content') this.#addState(name, textAt(this.#bytes, start, end));
    }
    return this.#pieces;
  }

  #readContents(start: number): void {
    const contents: SlotList = { spans: itemsAt(this.#bytes, start), within: null };
    for (const [index, { start: at }] of contents.spans.entries()) {
      const parts = memberNamed(membersAt(this.#bytes, at), 'parts');
      if (parts === undefined) continue;
      const list: SlotList = { spans: itemsAt(this.#bytes, parts.valueStart), within: { list: contents, index } };
      for (const [i, span] of list.spans.entries()) this.#readPart(membersAt(this.#bytes, span.start), { list, index: i });
    }
  }

  /** A part that holds nothing beside its signature goes with it. */
  #readPart(part: readonly MemberSpan[], whole: Slot): void {
    const file = part.find(({ name }) => name === 'fileData' || name === 'file_data');
    if (file !== undefined) this.#readFile(membersAt(this.#bytes, file.valueStart));
    const index = part.findIndex(({ name }) => SIGNATURES.has(name));
    const signature = part[index];
    const value = signature === undefined ? null : textAt(this.#bytes, signature.valueStart, signature.end);
    if (signature === undefined || value === null || value === '') return;
    const isCall = part.some(({ name }) => name === 'functionCall' || name === 'function_call');
    const slot = this.#saysNothing(part) ? whole : { list: { spans: part, within: null }, index };
    const standIn = isCall ? { start: signature.valueStart, end: signature.end, ...NO_SIGNATURE } : null;
    this.#pieces.push({ kind: 'signature', field: 'thoughtSignature', id: opaqueId(value), slot, standIn });
  }

  #saysNothing(part: readonly MemberSpan[]): boolean {
    return part.every((member) => SIGNATURES.has(member.name) || (member.name === 'text' && textOf(this.#bytes, [member], 'text') === ''));
  }

  #readFile(file: readonly MemberSpan[]): void {
    const uri = textOf(this.#bytes, file, 'fileUri') ?? textOf(this.#bytes, file, 'file_uri');
    if (uri !== null && UPLOAD.test(uri)) this.#addState('fileUri', uri);
  }

  #addState(field: string, value: string | null): void {
    if (value === null || value === '') return;
    this.#pieces.push({ kind: 'state', field, id: opaqueId(value), slot: null, standIn: null });
  }
}

/** Notes the pieces of a whole response, or of one chunk of it. */
export function noteChunk(facts: AnswerFacts, response: Fields): void {
  for (const { content } of recordsIn(response['candidates'])) {
    if (!isRecord(content)) continue;
    for (const part of recordsIn(content['parts'])) {
      const value = part['thoughtSignature'] ?? part['thought_signature'];
      if (typeof value === 'string' && value !== '') noteOpaque(facts, value);
    }
  }
}
