/** Parses a Messages stream or a message into model events. */
import { isRecord } from '../../core/json.ts';
import { ownOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { parseExact } from '../json-exact.ts';
import { foldEvents } from '../model-fold.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, StreamParser } from '../model.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { FORMAT_TOOL } from './format-tool.ts';
import { readMessagesUsage } from './usage.ts';

/** The stream reader has already enforced the event size limit. */
const NO_LIMIT = Infinity;

const FINISH: Readonly<Record<string, FinishClass>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
  pause_turn: 'pause',
};

/** The class of a stop reason. */
export function finishClassOf(reason: string): FinishClass {
  return ownOf(FINISH, reason) ?? 'other';
}

export function createMessagesStreamParser(): StreamParser {
  return new MessagesStreamParser();
}

/** `body`: a message that `readMessageResponse` accepted. */
export function parseMessage(body: Uint8Array): ModelResponse {
  const message = parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body))) as Fields;
  const parser = new MessageParser();
  parser.start(message);
  for (const [index, block] of recordsIn(message['content']).entries()) {
    parser.blockStart(index, block);
    parser.blockStop(index);
  }
  parser.delta(message, message['usage']);
  return foldEvents([...parser.take(), ...parser.end()]);
}

class MessagesStreamParser implements StreamParser {
  readonly #framer = new SseFramer(NO_LIMIT);
  readonly #message = new MessageParser();

  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[] {
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) this.#readBlock();
    }
    return this.#message.take();
  }

  end(): readonly ModelEvent[] {
    if (this.#framer.finish()) this.#readBlock();
    return [...this.#message.take(), ...this.#message.end()];
  }

  #readBlock(): void {
    const data = this.#framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) return;
    const event = parseExact(data);
    if (!isRecord(event)) return;
    const index = typeof event['index'] === 'number' ? event['index'] : 0;
    switch (event['type']) {
      case 'message_start':
        if (isRecord(event['message'])) this.#message.start(event['message']);
        break;
      case 'content_block_start':
        if (isRecord(event['content_block'])) this.#message.blockStart(index, event['content_block']);
        break;
      case 'content_block_delta':
        if (isRecord(event['delta'])) this.#message.blockDelta(index, event['delta']);
        break;
      case 'content_block_stop':
        this.#message.blockStop(index);
        break;
      case 'message_delta':
        if (isRecord(event['delta'])) this.#message.delta(event['delta'], event['usage']);
        break;
      default:
    }
  }
}

interface OpenBlock {
  readonly part: number;
  readonly head: PartHead;
  /** A call of a tool, or of the tool that stands for a response format. */
  readonly takesInput: boolean;
  /** Arguments in the start event; used if no delta follows. */
  readonly initialInput: string;
  hasDelta: boolean;
  opaque: Opaque | null;
}

/** Builds the events of one message, from a stream or from a body. */
class MessageParser {
  #events: ModelEvent[] = [];
  readonly #open = new Map<number, OpenBlock>();
  #partCount = 0;
  #usage: Fields = {};
  #hasText = false;
  #calledFormat = false;
  #calledTool = false;
  #finish: Extract<ModelEvent, { type: 'finish' }> | null = null;

  take(): readonly ModelEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  start(message: Fields): void {
    this.#events.push({ type: 'start', id: textOrNull(message['id']), model: textOrNull(message['model']) });
    this.#readUsage(message['usage']);
  }

  blockStart(index: number, block: Fields): void {
    this.blockStop(index);
    const head = this.#headOf(block);
    const part = this.#partCount++;
    const takesInput = block['type'] === 'tool_use';
    const initialInput = JSON.stringify(takesInput ? (block['input'] ?? {}) : {});
    const opaque = opaqueOf(block['signature']) ?? opaqueOf(block['data']);
    this.#open.set(index, { part, head, takesInput, initialInput, hasDelta: false, opaque });
    this.#events.push({ type: 'part_start', choice: 0, part, head });
    this.#append(index, textIn(block['text']) || textIn(block['thinking']));
  }

  blockDelta(index: number, delta: Fields): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    const signature = opaqueOf(delta['signature']);
    if (signature !== null) open.opaque = signature;
    this.#append(index, textIn(delta['text']) || textIn(delta['thinking']) || textIn(delta['partial_json']));
  }

  blockStop(index: number): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    if (!open.hasDelta && open.takesInput) this.#append(index, open.initialInput);
    this.#open.delete(index);
    this.#events.push({ type: 'part_end', choice: 0, part: open.part, opaque: open.opaque });
  }

  /** Stop reason and usage, from `message_delta` or from the complete message. */
  delta(delta: Fields, usage: unknown): void {
    this.#readUsage(usage);
    const raw = textOrNull(delta['stop_reason']);
    if (raw === null) return;
    const details = delta['stop_details'];
    if (raw === 'refusal' && !this.#hasText) this.#appendRefusal(isRecord(details) ? textIn(details['explanation']) : '');
    const reason = raw === 'tool_use' && this.#calledFormat && !this.#calledTool ? 'stop' : finishClassOf(raw);
    this.#finish = { type: 'finish', choice: 0, reason, raw, stopSequence: textOrNull(delta['stop_sequence']) };
  }

  end(): readonly ModelEvent[] {
    for (const index of this.#open.keys()) this.blockStop(index);
    this.#events.push(this.#finish ?? { type: 'finish', choice: 0, reason: 'stop', raw: '', stopSequence: null }, { type: 'end' });
    return this.take();
  }

  #headOf(block: Fields): PartHead {
    const type = textOrNull(block['type']) ?? 'content';
    if (type === 'text') return { type: 'text' };
    if (type === 'thinking' || type === 'redacted_thinking') return { type: 'reasoning' };
    if (type !== 'tool_use') return { type: 'foreign', name: type };
    this.#calledFormat ||= block['name'] === FORMAT_TOOL;
    if (block['name'] === FORMAT_TOOL) return { type: 'text' };
    this.#calledTool = true;
    return { type: 'tool_call', id: textIn(block['id']), name: textIn(block['name']), kind: 'function' };
  }

  #append(index: number, text: string): void {
    const open = this.#open.get(index);
    if (open === undefined || text === '' || open.head.type === 'foreign') return;
    open.hasDelta = true;
    if (open.head.type === 'text') this.#hasText = true;
    this.#events.push({ type: 'delta', choice: 0, part: open.part, text });
  }

  #appendRefusal(text: string): void {
    if (text === '') return;
    const part = this.#partCount++;
    this.#events.push(
      { type: 'part_start', choice: 0, part, head: { type: 'refusal' } },
      { type: 'delta', choice: 0, part, text },
      { type: 'part_end', choice: 0, part, opaque: null },
    );
  }

  #readUsage(usage: unknown): void {
    const read = readMessagesUsage(usage, this.#usage);
    if (read === null) return;
    this.#usage = read.fields;
    this.#events.push({ type: 'usage', usage: read.usage });
  }
}

function opaqueOf(value: unknown): Opaque | null {
  const text = textOrNull(value);
  return text === null ? null : { dialect: 'anthropic-messages', value: text };
}
