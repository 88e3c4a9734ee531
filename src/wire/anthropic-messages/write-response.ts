/** Writes model events as a Messages stream or a message. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import { isCutArguments } from '../cut-arguments.ts';
import { PartOrder } from '../part-order.ts';
import type { Fields } from '../loose-values.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, ResponsePart, StreamWriter, WriteOptions } from '../model.ts';
import { argumentsObject } from '../tool-arguments.ts';
import { toCallerId } from '../tool-call-ids.ts';
import { messagesUsage } from './usage.ts';

const STOP_REASON: Readonly<Record<FinishClass, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
  pause: 'pause_turn',
  other: 'end_turn',
};

/** Signature of reasoning from another vendor's model. Clients send it back; requests are stripped of such blocks. */
export const FOREIGN_SIGNATURE = 'breakwater-foreign';

const NO_USAGE: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 };

export function createMessagesStreamWriter(options: WriteOptions): StreamWriter {
  return new MessagesStreamWriter(options);
}

/** The stop reason and the usage share an event, which is written at the end, when both are known. */
class MessagesStreamWriter implements StreamWriter {
  readonly #options: WriteOptions;
  readonly #order = new PartOrder();
  #start: { id: string | null; model: string | null } = { id: null, model: null };
  #isStarted = false;
  #index = 0;
  #head: PartHead | null = null;
  #usage: TokenUsage = NO_USAGE;
  #finish: Extract<ModelEvent, { type: 'finish' }> | null = null;

  constructor(options: WriteOptions) {
    this.#options = options;
  }

  write(event: ModelEvent): string {
    if ('choice' in event && event.choice !== 0) return '';
    let text = '';
    for (const next of this.#order.add(event)) text += this.#one(next);
    return text;
  }

  #one(event: ModelEvent): string {
    switch (event.type) {
      case 'start':
        this.#start = event;
        return '';
      case 'usage':
        this.#usage = event.usage;
        return '';
      case 'finish':
        this.#finish = event;
        return '';
      case 'part_start':
        return this.#partStart(event.head);
      case 'delta':
        return this.#delta(event.text);
      case 'part_end':
        return this.#partEnd(event.opaque);
      case 'end':
        return this.#end();
    }
  }

  #partStart(head: PartHead): string {
    this.#head = head;
    const block = blockOf(head, '', null);
    return block === null ? '' : this.#begin() + eventText('content_block_start', { index: this.#index, content_block: block });
  }

  #delta(text: string): string {
    const delta = this.#head === null ? null : deltaOf(this.#head, text);
    return delta === null ? '' : eventText('content_block_delta', { index: this.#index, delta });
  }

  #partEnd(opaque: Opaque | null): string {
    const head = this.#head;
    this.#head = null;
    if (head === null || blockOf(head, '', null) === null) return '';
    const index = this.#index++;
    const signature = { type: 'signature_delta', signature: signatureOf(opaque) };
    const signed = head.type === 'reasoning' ? eventText('content_block_delta', { index, delta: signature }) : '';
    return signed + eventText('content_block_stop', { index });
  }

  #begin(): string {
    if (this.#isStarted) return '';
    this.#isStarted = true;
    const message = { ...this.#envelope(), content: [], stop_reason: null, stop_sequence: null, usage: messagesUsage(this.#usage) };
    return eventText('message_start', { message });
  }

  #end(): string {
    const delta = stopOf(this.#finish);
    return this.#begin() + eventText('message_delta', { delta, usage: messagesUsage(this.#usage) }) + eventText('message_stop', {});
  }

  #envelope(): Fields {
    const { id, model } = this.#start;
    return { id: messageId(id, this.#options), type: 'message', role: 'assistant', model: model ?? this.#options.model };
  }
}

export function writeMessage(response: ModelResponse, options: WriteOptions): Uint8Array {
  const { id, model, choices, usage } = response;
  const choice = choices[0];
  const message = {
    id: messageId(id, options),
    type: 'message',
    role: 'assistant',
    model: model ?? options.model,
    content: (choice?.parts ?? []).flatMap(wholeBlock),
    ...stopOf(choice?.finish ?? null),
    usage: messagesUsage(usage ?? NO_USAGE),
  };
  return Buffer.from(JSON.stringify(message));
}

function messageId(id: string | null, options: WriteOptions): string {
  const known = id ?? options.id;
  return known.startsWith('msg_') ? known : `msg_${known}`;
}

function stopOf(finish: { readonly reason: FinishClass; readonly stopSequence: string | null } | null): Fields {
  const { reason, stopSequence } = finish ?? { reason: 'stop', stopSequence: null };
  const stopped = reason === 'stop' && stopSequence !== null;
  return { stop_reason: stopped ? 'stop_sequence' : STOP_REASON[reason], stop_sequence: stopSequence };
}

function wholeBlock({ head, text, opaque }: ResponsePart): Fields[] {
  if ((head.type === 'text' || head.type === 'refusal') && text === '') return [];
  if (head.type === 'tool_call' && isCutArguments(text)) return [];
  const block = blockOf(head, text, opaque);
  return block === null ? [] : [block];
}

/** Null if the dialect has no block for the part. */
function blockOf(head: PartHead, text: string, opaque: Opaque | null): Fields | null {
  switch (head.type) {
    case 'text':
    case 'refusal':
      return { type: 'text', text };
    case 'reasoning':
      return { type: 'thinking', thinking: text, signature: text === '' && opaque === null ? '' : signatureOf(opaque) };
    case 'tool_call':
      return { type: 'tool_use', id: toCallerId('anthropic-messages', head.id), name: head.name, input: argumentsObject(text) };
    default:
      return null;
  }
}

function deltaOf(head: PartHead, text: string): Fields | null {
  switch (head.type) {
    case 'text':
    case 'refusal':
      return { type: 'text_delta', text };
    case 'reasoning':
      return { type: 'thinking_delta', thinking: text };
    case 'tool_call':
      return { type: 'input_json_delta', partial_json: text };
    default:
      return null;
  }
}

function signatureOf(opaque: Opaque | null): string {
  return opaque?.dialect === 'anthropic-messages' ? opaque.value : FOREIGN_SIGNATURE;
}

function eventText(type: string, fields: Fields): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}
