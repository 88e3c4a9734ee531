/** Opaque values of Gemini requests and responses: thought signatures, and names of what one project stores. */
import type { ResponseFacts } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { memberNamed, membersAt, objectsAt, textAt, textOf } from '../json-cursor.ts';
import type { MemberSpan, ObjectSpan } from '../json-cursor.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { noteOpaque, opaqueId, UNSIGNED_CALL } from '../opaque/opaque.ts';
import type { OpaqueForms, OpaquePiece, Slot, SlotList } from '../opaque/opaque.ts';
import type { RequestBody } from '../request-body.ts';

export const geminiOpaque: OpaqueForms = {
  find: (body) => ({ pieces: new GeminiPieces(body.bytes).read(body), droppedWith: () => [] }),
  wanted: UNSIGNED_CALL,
  bound: new Set(),
  holdsResponse: () => false,
};

const SIGNATURES: ReadonlySet<string> = new Set(['thoughtSignature', 'thought_signature']);

/** Uploads of the Files API; other URLs are readable by every project. */
const UPLOAD = /\/v\d\w{0,10}\/files\/|^files\//;

/** Google accepts this in place of a signature in conversations started by another model. */
export const FOREIGN_CALL_SIGNATURE = 'skip_thought_signature_validator';

/** The API rejects a call without a signature. */
const NO_SIGNATURE = { text: JSON.stringify(FOREIGN_CALL_SIGNATURE), model: /./ } as const;

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
    const contents = objectsAt(this.#bytes, start);
    const turns: SlotList = { spans: contents, within: null };
    for (const [index, { members }] of contents.entries()) {
      const parts = memberNamed(members, 'parts');
      if (parts === undefined) continue;
      const spans = objectsAt(this.#bytes, parts.valueStart);
      const list: SlotList = { spans, within: { list: turns, index } };
      for (const [i, part] of spans.entries()) this.#readPart(part.members, { list, index: i });
      this.#readCalls(spans);
    }
  }

  /** Some models require a signature on the first call of each step. */
  #readCalls(parts: readonly ObjectSpan[]): void {
    const first = parts.find(({ members }) => members.some(isCall));
    if (first === undefined || first.members.some(({ name }) => SIGNATURES.has(name))) return;
    const at = first.end - 1;
    const standIn = { ...NO_SIGNATURE, start: at, end: at, text: `,"thoughtSignature":${NO_SIGNATURE.text}` };
    this.#pieces.push({ kind: 'signature', field: 'thoughtSignature', id: UNSIGNED_CALL, slot: null, standIn });
  }

  /** A part that holds only its signature is removed with it. */
  #readPart(part: readonly MemberSpan[], whole: Slot): void {
    const file = part.find(({ name }) => name === 'fileData' || name === 'file_data');
    if (file !== undefined) this.#readFile(membersAt(this.#bytes, file.valueStart));
    const index = part.findIndex(({ name }) => SIGNATURES.has(name));
    const signature = part[index];
    const value = signature === undefined ? null : textAt(this.#bytes, signature.valueStart, signature.end);
    if (signature === undefined || value === null || value === '' || value === FOREIGN_CALL_SIGNATURE) return;
    const slot = this.#isEmpty(part) ? whole : { list: { spans: part, within: null }, index };
    const standIn = part.some(isCall) ? { start: signature.valueStart, end: signature.end, ...NO_SIGNATURE } : null;
    this.#pieces.push({ kind: 'signature', field: 'thoughtSignature', id: opaqueId(value), slot, standIn });
  }

  #isEmpty(part: readonly MemberSpan[]): boolean {
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

function isCall({ name }: MemberSpan): boolean {
  return name === 'functionCall' || name === 'function_call';
}

/** Records the opaque values of a response or a chunk of one. */
export function noteChunk(facts: ResponseFacts, response: Fields): void {
  for (const { content } of recordsIn(response['candidates'])) {
    if (!isRecord(content)) continue;
    for (const part of recordsIn(content['parts'])) {
      const value = part['thoughtSignature'] ?? part['thought_signature'];
      if (typeof value === 'string' && value !== '') noteOpaque(facts, value);
    }
  }
}
