/** Parses the events of a chat stream to model events. */
import { isAtLimit, isWithheld } from '../../core/finish-reason.ts';
import { isRecord } from '../../core/json.ts';
import { readUsage } from '../usage.ts';
import { numberIn } from '../json-exact.ts';
import { calledTool, isFilledCall, joinedName } from './called-tool.ts';
import { listOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { sourceOfUrl } from '../media-source.ts';
import type { FinishClass, ModelEvent, Opaque, PartHead, StreamParser } from '../model.ts';
import { SseFramer } from '../sse/sse-framer.ts';

/** The watcher has already limited the size of events. */
const NO_LIMIT = Infinity;

export function createChatStreamParser(): StreamParser {
  return new ChatStreamParser();
}

class ChatStreamParser implements StreamParser {
  readonly #framer = new SseFramer(NO_LIMIT);
  readonly #choices = new Map<number, ChoiceParser>();
  #events: ModelEvent[] = [];
  #isStarted = false;

  get holdsEvents(): boolean {
    return [...this.#choices.values()].some((choice) => choice.holdsEvents);
  }

  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[] {
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) this.#readBlock();
    }
    return this.#take();
  }

  end(): readonly ModelEvent[] {
    if (this.#framer.finish()) this.#readBlock();
    for (const choice of this.#choices.values()) choice.end();
    this.#events.push({ type: 'end' });
    return this.#take();
  }

  #take(): readonly ModelEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #readBlock(): void {
    const data = this.#framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) return;
    const chunk: unknown = JSON.parse(data);
    if (isRecord(chunk)) this.#readChunk(chunk);
  }

  #readChunk(chunk: Fields): void {
    if (!this.#isStarted) {
      this.#isStarted = true;
      const { id, model, created } = chunk;
      this.#events.push({ type: 'start', id: textOrNull(id), model: textOrNull(model), createdAt: numberIn(created) });
    }
    for (const [position, choice] of listOf(chunk['choices']).entries()) {
      if (isRecord(choice)) this.#choiceOf(typeof choice['index'] === 'number' ? choice['index'] : position).read(choice);
    }
    const groq = chunk['x_groq'];
    const usage = readUsage(chunk['usage'], chunk['service_tier']) ?? (isRecord(groq) ? readUsage(groq['usage']) : null);
    if (usage !== null) this.#events.push({ type: 'usage', usage });
  }

  #choiceOf(index: number): ChoiceParser {
    let choice = this.#choices.get(index);
    if (choice === undefined) this.#choices.set(index, (choice = new ChoiceParser(index, (event) => this.#events.push(event))));
    return choice;
  }
}

/** Why a chat choice ended, by class; `stop` after a call counts as `tool_calls`. */
export function finishClassOf(raw: string, hasCall: boolean): FinishClass {
  if (raw === 'length' || raw === 'max_tokens' || raw === 'model_length') return 'length';
  if (raw === 'content_filter') return 'content_filter';
  if (hasCall || raw === 'tool_calls' || raw === 'function_call' || raw === 'tool_use') return 'tool_calls';
  return 'stop';
}

/** Characters of arguments that are held until the name of their tool. */
const UNNAMED_CHARS_MAX = 64 * 1024;

/** A limit or a filter may end a response before the name of a tool. */
function isCutShort(raw: string): boolean {
  return isAtLimit(raw) || isWithheld(raw);
}

interface StreamedCall {
  /** Null: none was sent. */
  id: string | null;
  name: string;
  kind: 'function' | 'custom';
  /** Null: not started, since its name may be incomplete. */
  part: number | null;
  /** Arguments that arrived before the name. */
  held: string;
  hasText: boolean;
}

/**
 * Text and reasoning alternate; tool calls stay open until the choice ends, since their fragments may interleave. A call starts with its
 * first arguments, or when something else follows: until then its name may come in pieces.
 */
class ChoiceParser {
  readonly #choice: number;
  readonly #emit: (event: ModelEvent) => void;
  readonly #callsByKey = new Map<number | string, StreamedCall>();
  #calls: StreamedCall[] = [];
  #partCount = 0;
  /** The open text-like part, which further deltas continue; null: none. */
  #open: { readonly part: number; readonly type: PartHead['type'] } | null = null;
  #lastCall: StreamedCall | null = null;
  #hasCall = false;
  /** The finish reason, emitted at the end since some hosts send content after it; null: none yet. */
  #raw: string | null = null;

  constructor(choice: number, emit: (event: ModelEvent) => void) {
    this.#choice = choice;
    this.#emit = emit;
  }

  get holdsEvents(): boolean {
    return this.#raw !== null || this.#calls.some(({ part }) => part === null);
  }

  read(choice: Fields): void {
    const delta = choice['delta'] ?? choice['message'];
    if (isRecord(delta)) this.#readDelta(delta);
    if (textIn(choice['text']) !== '') this.#addText('text', textIn(choice['text']));
    const finish = textOrNull(choice['finish_reason']);
    if (finish !== null) this.#finish(finish);
  }

  end(): void {
    const raw = this.#raw ?? '';
    this.#endParts(raw);
    this.#emit({ type: 'finish', choice: this.#choice, reason: finishClassOf(raw, this.#hasCall), raw, stopSequence: null });
  }

  #finish(raw: string): void {
    this.#raw = raw;
    this.#endParts(raw);
  }

  /** Ends all parts; anything that follows begins new ones. */
  #endParts(raw: string): void {
    this.#startCalls();
    if (!isCutShort(raw)) for (const call of this.#calls) if (call.part === null && call.hasText) this.#startCall(call);
    this.#closeOpen(null);
    for (const call of this.#calls) if (call.part !== null) this.#endCall(call);
    this.#calls = [];
    this.#callsByKey.clear();
    this.#lastCall = null;
  }

  /** A function call without arguments gets `{}`. */
  #endCall({ kind, part, hasText }: StreamedCall): void {
    if (!hasText && kind === 'function') this.#emit({ type: 'delta', choice: this.#choice, part: part!, text: '{}' });
    this.#emit({ type: 'part_end', choice: this.#choice, part: part!, opaque: null });
  }

  #readDelta(delta: Fields): void {
    this.#addText('reasoning', reasoningText(delta));
    const { content } = delta;
    if (typeof content === 'string') this.#addText('text', content);
    else for (const part of recordsIn(content)) this.#readPart(part);
    this.#addText('refusal', textIn(delta['refusal']));
    for (const call of recordsIn(delta['tool_calls'])) this.#readCall(call);
    const { function_call: call, audio } = delta;
    if (isFilledCall(call)) this.#readCall({ index: -1, id: `function_${this.#choice}`, function: call });
    for (const image of recordsIn(delta['images'])) this.#readImage(image);
    if (isRecord(audio)) this.#addText('text', textIn(audio['transcript']));
  }

  /** A part of Mistral's content lists. */
  #readPart(part: Fields): void {
    const { thinking } = part;
    if (part['type'] === 'thinking') {
      this.#addText(
        'reasoning',
        typeof thinking === 'string'
          ? thinking
          : recordsIn(thinking)
              .map((inner) => textIn(inner['text']))
              .join(''),
      );
    } else if (part['type'] === 'refusal') this.#addText('refusal', textIn(part['refusal']));
    else this.#addText('text', textIn(part['text']));
  }

  #addText(type: 'text' | 'reasoning' | 'refusal', text: string): void {
    if (text === '') return;
    if (this.#open?.type !== type) {
      this.#startCalls();
      this.#closeOpen(null);
      this.#open = { part: this.#begin({ type }), type };
    }
    this.#emit({ type: 'delta', choice: this.#choice, part: this.#open.part, text });
  }

  #readImage(image: Fields): void {
    const url = isRecord(image['image_url']) ? textIn(image['image_url']['url']) : '';
    if (url === '') return;
    this.#startCalls();
    this.#closeOpen(null);
    const part = this.#begin({ type: 'media', source: sourceOfUrl(url) });
    this.#emit({ type: 'part_end', choice: this.#choice, part, opaque: null });
  }

  #readCall(delta: Fields): void {
    const { kind, fields: named } = calledTool(delta);
    const call = this.#callOf(typeof delta['index'] === 'number' ? delta['index'] : null, textOrNull(delta['id']));
    if (call.part === null) {
      call.name = joinedName(call.name, textIn(named['name']));
      if (isFilledCall(named)) call.kind = kind;
    }
    const value = named['arguments'] ?? named['input'];
    const text = isRecord(value) ? JSON.stringify(value) : textIn(value);
    if (text === '') return;
    call.hasText = true;
    if (call.part !== null) this.#emit({ type: 'delta', choice: this.#choice, part: call.part, text });
    else {
      call.held += text;
      if (call.name !== '' || call.held.length > UNNAMED_CHARS_MAX) this.#startCall(call);
    }
  }

  /** A new id under a known index begins a new call: some hosts send the same index for every call, or none. */
  #callOf(index: number | null, id: string | null): StreamedCall {
    const known = index !== null ? this.#callsByKey.get(index) : id !== null ? this.#callsByKey.get(id) : this.#lastCall;
    let call = known ?? null;
    if (call !== null && id !== null && call.id !== null && call.id !== id) call = null;
    if (call === null) {
      this.#startCalls();
      call = { id, name: '', kind: 'function', part: null, held: '', hasText: false };
      this.#calls.push(call);
      const key = index ?? id;
      if (key !== null) this.#callsByKey.set(key, call);
    }
    call.id ??= id;
    this.#lastCall = call;
    return call;
  }

  /** Starts the calls that have a name. */
  #startCalls(): void {
    for (const call of this.#calls) if (call.part === null && call.name !== '') this.#startCall(call);
  }

  #startCall(call: StreamedCall): void {
    this.#closeOpen(null);
    this.#hasCall = true;
    const { name, kind, held } = call;
    call.part = this.#begin({ type: 'tool_call', id: call.id ?? `call_${this.#choice}_${this.#partCount}`, name, kind });
    call.held = '';
    if (held !== '') this.#emit({ type: 'delta', choice: this.#choice, part: call.part, text: held });
  }

  #begin(head: PartHead): number {
    const part = this.#partCount++;
    this.#emit({ type: 'part_start', choice: this.#choice, part, head });
    return part;
  }

  #closeOpen(opaque: Opaque | null): void {
    if (this.#open === null) return;
    this.#emit({ type: 'part_end', choice: this.#choice, part: this.#open.part, opaque });
    this.#open = null;
  }
}

/** Reasoning, under one of several names; OpenRouter repeats it in `reasoning_details`. */
export function reasoningText(message: Fields): string {
  const text = [message['reasoning_content'], message['reasoning'], message['reasoning_text']].find(
    (value) => typeof value === 'string' && value !== '',
  );
  if (typeof text === 'string') return text;
  return recordsIn(message['reasoning_details'])
    .map((detail) => textIn(detail['text']) || textIn(detail['summary']))
    .join('');
}
