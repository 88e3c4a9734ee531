/** Parses the events of a chat stream to model events. */
import { readUsage } from '../usage.ts';
import { numberIn } from '../json-exact.ts';
import { isRecord } from '../json-values.ts';
import { calledTool, isFilledCall } from './called-tool.ts';
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

/** Text and reasoning alternate; tool calls stay open until the choice ends, since their fragments may interleave. */
class ChoiceParser {
  readonly #choice: number;
  readonly #emit: (event: ModelEvent) => void;
  readonly #calls = new Map<number | string, number>();
  readonly #callIds = new Map<number, string>();
  #partCount = 0;
  /** The open text-like part, which further deltas continue; null: none. */
  #open: { readonly part: number; readonly type: PartHead['type'] } | null = null;
  #openCalls: number[] = [];
  readonly #callsWithText = new Set<number>();
  #lastCall: number | null = null;
  #hasCall = false;
  #isFinished = false;

  constructor(choice: number, emit: (event: ModelEvent) => void) {
    this.#choice = choice;
    this.#emit = emit;
  }

  read(choice: Fields): void {
    if (this.#isFinished) return;
    const delta = choice['delta'] ?? choice['message'];
    if (isRecord(delta)) this.#readDelta(delta);
    if (textIn(choice['text']) !== '') this.#addText('text', textIn(choice['text']));
    const finish = textOrNull(choice['finish_reason']);
    if (finish !== null) this.#finish(finish);
  }

  end(): void {
    if (!this.#isFinished) this.#finish('');
  }

  #finish(raw: string): void {
    this.#isFinished = true;
    this.#closeOpen(null);
    for (const part of this.#openCalls) this.#endCall(part);
    this.#emit({ type: 'finish', choice: this.#choice, reason: finishClassOf(raw, this.#hasCall), raw, stopSequence: null });
  }

  /** A call without arguments gets `{}`. */
  #endCall(part: number): void {
    if (!this.#callsWithText.has(part)) this.#emit({ type: 'delta', choice: this.#choice, part, text: '{}' });
    this.#emit({ type: 'part_end', choice: this.#choice, part, opaque: null });
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
      this.#closeOpen(null);
      this.#open = { part: this.#begin({ type }), type };
    }
    this.#emit({ type: 'delta', choice: this.#choice, part: this.#open.part, text });
  }

  #readImage(image: Fields): void {
    const url = isRecord(image['image_url']) ? textIn(image['image_url']['url']) : '';
    if (url === '') return;
    this.#closeOpen(null);
    const part = this.#begin({ type: 'media', source: sourceOfUrl(url) });
    this.#emit({ type: 'part_end', choice: this.#choice, part, opaque: null });
  }

  /** A new id under a known index begins a new call: some hosts send the same index for every call, or none. */
  #readCall(call: Fields): void {
    const index = typeof call['index'] === 'number' ? call['index'] : null;
    const id = textOrNull(call['id']);
    let part = index === null ? (id === null ? this.#lastCall : (this.#calls.get(id) ?? null)) : (this.#calls.get(index) ?? null);
    if (part !== null && id !== null && this.#callIds.get(part) !== id) part = null;
    const { kind, fields: named } = calledTool(call);
    if (part === null) part = this.#beginCall(id, textIn(named['name']), kind, index);
    this.#lastCall = part;
    const value = named['arguments'] ?? named['input'];
    const text = isRecord(value) ? JSON.stringify(value) : textIn(value);
    if (text === '') return;
    this.#callsWithText.add(part);
    this.#emit({ type: 'delta', choice: this.#choice, part, text });
  }

  #beginCall(id: string | null, name: string, kind: 'function' | 'custom', index: number | null): number {
    this.#closeOpen(null);
    this.#hasCall = true;
    const known = id ?? `call_${this.#choice}_${this.#partCount}`;
    const part = this.#begin({ type: 'tool_call', id: known, name, kind });
    this.#callIds.set(part, known);
    this.#calls.set(index ?? known, part);
    this.#openCalls.push(part);
    if (kind === 'custom') this.#callsWithText.add(part);
    return part;
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
