/** Parses generateContent responses, streamed or not, into model events. */
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { parseExact } from '../json-exact.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { foldEvents } from '../model-fold.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, StreamParser } from '../model.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { POSITIONAL_ID_PREFIX } from './call-ids.ts';
import { PartialArguments } from './partial-arguments.ts';
import { readGeminiUsage } from './usage.ts';

/** The stream reader has already enforced the event size limit. */
const NO_LIMIT = Infinity;

const FILTERED: ReadonlySet<string> = new Set([
  'SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT', 'SPII', 'IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION', 'MODEL_ARMOR', 'JAILBREAK',
]); // prettier-ignore

/** The class of a finish reason. A candidate with a tool call ends with `STOP`. */
export function finishClassOf(reason: string, hasCall: boolean): FinishClass {
  if (reason === 'MAX_TOKENS') return 'length';
  if (FILTERED.has(reason)) return 'content_filter';
  if (reason === 'CONTINUATION') return 'pause';
  if (hasCall) return 'tool_calls';
  return reason === 'STOP' || reason === 'FINISH_REASON_UNSPECIFIED' ? 'stop' : 'other';
}

export function createGeminiStreamParser(): StreamParser {
  return new GeminiStreamParser();
}

/** `body`: a response that `readGeminiResponse` accepted, or the JSON list of chunks that a stream without `alt=sse` is. */
export function parseGeminiResponse(body: Uint8Array): ModelResponse {
  const value = parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
  return modelOf(Array.isArray(value) ? recordsIn(value) : [value as Fields]);
}

/** `chunks`: all chunks of one response. */
export function modelOf(chunks: readonly Fields[]): ModelResponse {
  const parser = new ResponseParser();
  for (const chunk of chunks) parser.read(chunk);
  return foldEvents([...parser.take(), ...parser.end()]);
}

class GeminiStreamParser implements StreamParser {
  readonly #framer = new SseFramer(NO_LIMIT);
  readonly #response = new ResponseParser();

  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[] {
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) this.#readBlock();
    }
    return this.#response.take();
  }

  end(): readonly ModelEvent[] {
    if (this.#framer.finish()) this.#readBlock();
    return [...this.#response.take(), ...this.#response.end()];
  }

  #readBlock(): void {
    const data = this.#framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) return;
    const chunk = parseExact(data);
    if (isRecord(chunk)) this.#response.read(chunk);
  }
}

class ResponseParser {
  readonly #candidates = new Map<number, CandidateParser>();
  #events: ModelEvent[] = [];
  #isStarted = false;
  #responseId: string | null = null;

  take(): readonly ModelEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  read(chunk: Fields): void {
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#responseId = textOrNull(chunk['responseId']);
      this.#events.push({ type: 'start', id: this.#responseId, model: textOrNull(chunk['modelVersion']) });
    }
    for (const [position, candidate] of recordsIn(chunk['candidates']).entries()) {
      this.#candidateOf(typeof candidate['index'] === 'number' ? candidate['index'] : position).read(candidate);
    }
    const feedback = chunk['promptFeedback'];
    const blocked = isRecord(feedback) ? textOrNull(feedback['blockReason']) : null;
    if (blocked !== null && this.#candidates.size === 0) this.#candidateOf(0).block(blocked);
    const usage = readGeminiUsage(chunk['usageMetadata']);
    if (usage !== null) this.#events.push({ type: 'usage', usage });
  }

  end(): readonly ModelEvent[] {
    for (const candidate of this.#candidates.values()) candidate.end();
    this.#events.push({ type: 'end' });
    return this.take();
  }

  #candidateOf(index: number): CandidateParser {
    let candidate = this.#candidates.get(index);
    if (candidate === undefined) {
      candidate = new CandidateParser(index, this.#responseId ?? '', (event) => this.#events.push(event));
      this.#candidates.set(index, candidate);
    }
    return candidate;
  }
}

interface Call {
  readonly id: string;
  readonly name: string;
  readonly arguments: PartialArguments;
  readonly opaque: Opaque | null;
  /** More of its arguments follow. */
  isOpen: boolean;
}

/**
 * Calls are emitted before the next text, or at the end: one with a `functionResponse` in the same response is a server-side tool call, not one for the caller to
 * run.
 */
class CandidateParser {
  readonly #choice: number;
  readonly #responseId: string;
  readonly #emit: (event: ModelEvent) => void;
  #partCount = 0;
  #callCount = 0;
  #open: { readonly part: number; readonly type: PartHead['type']; opaque: Opaque | null } | null = null;
  #calls: Call[] = [];
  #hasCall = false;
  #finish = '';

  constructor(choice: number, responseId: string, emit: (event: ModelEvent) => void) {
    this.#choice = choice;
    this.#responseId = responseId;
    this.#emit = emit;
  }

  read(candidate: Fields): void {
    const { content } = candidate;
    for (const part of isRecord(content) ? recordsIn(content['parts']) : []) this.#readPart(part);
    this.#finish = textOrNull(candidate['finishReason']) ?? this.#finish;
  }

  block(reason: string): void {
    this.#finish = FILTERED.has(reason) ? reason : 'SAFETY';
  }

  end(): void {
    this.#close();
    this.#emitCalls();
    const reason = finishClassOf(this.#finish === '' ? 'STOP' : this.#finish, this.#hasCall);
    this.#emit({ type: 'finish', choice: this.#choice, reason, raw: this.#finish, stopSequence: null });
  }

  #emitCalls(): void {
    for (const call of this.#calls) {
      this.#hasCall = true;
      const part = this.#begin({ type: 'tool_call', id: call.id, name: call.name, kind: 'function' });
      this.#emit({ type: 'delta', choice: this.#choice, part, text: JSON.stringify(call.arguments.value) });
      this.#emit({ type: 'part_end', choice: this.#choice, part, opaque: call.opaque });
    }
    this.#calls = [];
  }

  #readPart(part: Fields): void {
    const signature = textOrNull(part['thoughtSignature']);
    const opaque: Opaque | null = signature === null ? null : { dialect: 'gemini', value: signature };
    const { functionCall, functionResponse, inlineData } = part;
    if (isRecord(functionCall)) return this.#readCall(functionCall, opaque);
    if (isRecord(functionResponse)) return this.#answered(functionResponse);
    if (isRecord(inlineData)) return this.#media(inlineData);
    const text = textIn(part['text']);
    if (typeof part['text'] !== 'string') return this.#foreign(part);
    this.#append(part['thought'] === true ? 'reasoning' : 'text', text, opaque);
  }

  #append(type: 'text' | 'reasoning', text: string, opaque: Opaque | null): void {
    if (text === '' && this.#open === null) return;
    if (text !== '' && this.#open?.type !== type) {
      this.#close();
      // Results of a server-side tool come before the text that is based on them.
      if (type === 'text' && this.#calls.at(-1)?.isOpen !== true) this.#emitCalls();
      this.#open = { part: this.#begin({ type }), type, opaque: null };
    }
    const open = this.#open!;
    open.opaque = opaque ?? open.opaque;
    if (text !== '') this.#emit({ type: 'delta', choice: this.#choice, part: open.part, text });
  }

  /** With `willContinue` the arguments follow in later parts, which may have no name. */
  #readCall(call: Fields, opaque: Opaque | null): void {
    const last = this.#calls.at(-1);
    const name = textOrNull(call['name']);
    const goesOn = last !== undefined && last.isOpen && name === null;
    const current = goesOn ? last : this.#beginCall(call, name ?? '', opaque);
    if (isRecord(call['args'])) current.arguments.replace(call['args']);
    for (const partial of recordsIn(call['partialArgs'])) current.arguments.add(partial);
    current.isOpen = call['willContinue'] === true;
  }

  #beginCall(call: Fields, name: string, opaque: Opaque | null): Call {
    this.#close();
    const id = textOrNull(call['id']) ?? `${POSITIONAL_ID_PREFIX}${this.#responseId}_${this.#choice}_${this.#callCount}`;
    this.#callCount++;
    const begun = { id, name, arguments: new PartialArguments(), opaque, isOpen: false };
    this.#calls.push(begun);
    return begun;
  }

  #answered(response: Fields): void {
    const { id, name } = response;
    const at = this.#calls.findIndex((call) => (typeof id === 'string' && call.id === id) || call.name === name);
    if (at !== -1) this.#calls.splice(at, 1);
    this.#foreign({ functionResponse: response });
  }

  #media(data: Fields): void {
    this.#close();
    const mime = textOrNull(data['mimeType']) ?? 'application/octet-stream';
    const part = this.#begin({ type: 'media', source: { kind: 'data', mime, base64: textIn(data['data']) } });
    this.#emit({ type: 'part_end', choice: this.#choice, part, opaque: null });
  }

  #foreign(part: Fields): void {
    const name = Object.keys(part).find((key) => key !== 'thoughtSignature' && key !== 'thought');
    if (name === undefined) return;
    this.#close();
    const begun = this.#begin({ type: 'foreign', name });
    this.#emit({ type: 'part_end', choice: this.#choice, part: begun, opaque: null });
  }

  #begin(head: PartHead): number {
    const part = this.#partCount++;
    this.#emit({ type: 'part_start', choice: this.#choice, part, head });
    return part;
  }

  #close(): void {
    if (this.#open === null) return;
    this.#emit({ type: 'part_end', choice: this.#choice, part: this.#open.part, opaque: this.#open.opaque });
    this.#open = null;
  }
}
