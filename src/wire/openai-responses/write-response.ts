/** Writes model events as a Responses stream or a response body. Events are named and numbered; there is no `[DONE]`. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import { PartOrder } from '../part-order.ts';
import type { Fields } from '../loose-values.ts';
import { unfoldResponse } from '../model-fold.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, StreamWriter, WriteOptions } from '../model.ts';
import { toCallerId } from '../tool-call-ids.ts';
import { FOREIGN_REASONING_PREFIX, itemOf, partOf } from './output-items.ts';

export function responsesUsage({ inputTokens, cachedInputTokens, outputTokens, reasoningTokens }: TokenUsage): Fields {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens ?? 0 },
    total_tokens: inputTokens + outputTokens,
  };
}

export function createResponsesStreamWriter(options: WriteOptions): StreamWriter {
  const output = new OutputWriter(options);
  return { write: (event) => output.write(event).map(eventText).join('') };
}

/** The same response as a JSON body. */
export function writeResponse(response: ModelResponse, options: WriteOptions): Uint8Array {
  const output = new OutputWriter(options);
  for (const event of unfoldResponse(response)) output.write(event);
  return Buffer.from(JSON.stringify(output.response()));
}

function eventText(event: Fields): string {
  return `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`;
}

interface OpenItem {
  readonly head: PartHead;
  readonly id: string;
  text: string;
}

/** Delta and done event names per part type. */
const DELTA: Readonly<Partial<Record<PartHead['type'], string>>> = {
  text: 'response.output_text',
  refusal: 'response.refusal',
  reasoning: 'response.reasoning_summary_text',
};

class OutputWriter {
  readonly #options: WriteOptions;
  readonly #order = new PartOrder();
  readonly #items: Fields[] = [];
  #model: string;
  #sequence = 0;
  #isBegun = false;
  #open: OpenItem | null = null;
  #usage: TokenUsage | null = null;
  #finish: FinishClass | null = null;

  constructor(options: WriteOptions) {
    this.#options = { ...options, id: `resp_${options.id.replace(/^(?:resp|req)_/, '')}` };
    this.#model = options.model;
  }

  write(event: ModelEvent): Fields[] {
    if ('choice' in event && event.choice !== 0) return [];
    const events: Fields[] = [];
    for (const next of this.#order.add(event)) events.push(...this.#one(next));
    return events;
  }

  /** The response as far as it has arrived. */
  response(): Fields {
    const { id, createdAt, echo } = this.#options;
    const isCut = this.#finish === 'length' || this.#finish === 'content_filter' || this.#finish === 'pause';
    const status = this.#finish === null ? 'in_progress' : isCut ? 'incomplete' : 'completed';
    const reason = this.#finish === 'content_filter' ? 'content_filter' : 'max_output_tokens';
    return {
      id,
      object: 'response',
      created_at: createdAt,
      status,
      background: false,
      error: null,
      incomplete_details: isCut ? { reason } : null,
      ...echo,
      model: this.#model,
      output: this.#items,
      usage: this.#usage === null || this.#finish === null ? null : responsesUsage(this.#usage),
    };
  }

  #one(event: ModelEvent): Fields[] {
    switch (event.type) {
      case 'start':
        this.#model = event.model ?? this.#model;
        return [];
      case 'usage':
        this.#usage = event.usage;
        return [];
      case 'finish':
        this.#finish = event.reason;
        return [];
      case 'part_start':
        return this.#partStart(event.part, event.head);
      case 'delta':
        return this.#delta(event.text);
      case 'part_end':
        return this.#partEnd(event.opaque);
      case 'end':
        return this.#end();
    }
  }

  #begin(): Fields[] {
    if (this.#isBegun) return [];
    this.#isBegun = true;
    // At `response.created` there is no finish reason yet.
    const finish = this.#finish;
    this.#finish = null;
    const begun = ['response.created', 'response.in_progress'].map((type) =>
      this.#event(type, { response: { ...this.response(), output: [] } }),
    );
    this.#finish = finish;
    return begun;
  }

  #partStart(part: number, head: PartHead): Fields[] {
    if (itemOf(head, '', '', null, this.#options.tools) === null) return [];
    const { type } = head;
    const prefix = type === 'tool_call' ? (head.kind === 'custom' ? 'ctc' : 'fc') : type === 'media' ? 'ig' : 'msg';
    const known = type === 'tool_call' ? { ...head, id: toCallerId('openai-responses', head.id) } : head;
    const start = type === 'reasoning' ? FOREIGN_REASONING_PREFIX : `${prefix}_`;
    const open: OpenItem = { head: known, id: `${start}${this.#options.id.replace(/^resp_/, '')}_${part}`, text: '' };
    this.#open = open;
    const position = { item_id: open.id, output_index: this.#items.length };
    const added = this.#event('response.output_item.added', {
      output_index: position.output_index,
      item: { ...this.#item(open, null), status: 'in_progress', ...emptyOf(head) },
    });
    const events = [...this.#begin(), added];
    if (type === 'text' || type === 'refusal')
      events.push(this.#event('response.content_part.added', { ...position, content_index: 0, part: partOf(head, '') }));
    if (type === 'reasoning')
      events.push(this.#event('response.reasoning_summary_part.added', { ...position, summary_index: 0, part: partOf(head, '') }));
    return renumbered(events);
  }

  #delta(text: string): Fields[] {
    const open = this.#open;
    if (open === null) return [];
    open.text += text;
    const position = { item_id: open.id, output_index: this.#items.length };
    const { head } = open;
    if (head.type === 'tool_call') return [this.#event(`${callEvent(head)}.delta`, { ...position, delta: text })];
    const name = DELTA[head.type];
    return name === undefined ? [] : [this.#event(`${name}.delta`, { ...position, ...within(head), delta: text, ...logprobs(head) })];
  }

  #partEnd(opaque: Opaque | null): Fields[] {
    const open = this.#open;
    this.#open = null;
    if (open === null) return [];
    const { head, id } = open;
    const position = { item_id: id, output_index: this.#items.length };
    const events: Fields[] = [];
    if (head.type === 'tool_call') {
      const content = head.kind === 'custom' ? { input: open.text } : { name: head.name, arguments: open.text };
      events.push(this.#event(`${callEvent(head)}.done`, { ...position, ...content }));
    } else if (DELTA[head.type] !== undefined) {
      const content = head.type === 'refusal' ? { refusal: open.text } : { text: open.text, ...logprobs(head) };
      const partEvent = head.type === 'reasoning' ? 'response.reasoning_summary_part.done' : 'response.content_part.done';
      events.push(
        this.#event(`${DELTA[head.type]}.done`, { ...position, ...within(head), ...content }),
        this.#event(partEvent, { ...position, ...within(head), part: partOf(head, open.text) }),
      );
    }
    const item = this.#item(open, opaque);
    events.push(this.#event('response.output_item.done', { output_index: position.output_index, item }));
    this.#items.push(item);
    return events;
  }

  #end(): Fields[] {
    const begun = this.#begin();
    this.#finish ??= 'stop';
    const response = this.response();
    return [...begun, this.#event(response['status'] === 'incomplete' ? 'response.incomplete' : 'response.completed', { response })];
  }

  #item({ head, id, text }: OpenItem, opaque: Opaque | null): Fields {
    return itemOf(head, id, text, opaque, this.#options.tools)!;
  }

  #event(type: string, fields: Fields): Fields {
    return { type, ...fields, sequence_number: this.#sequence++ };
  }
}

/** `response.created` is built with the first part but sent before it. */
function renumbered(events: readonly Fields[]): Fields[] {
  const first = Math.min(...events.map((event) => Number(event['sequence_number'])));
  return events.map((event, i) => ({ ...event, sequence_number: first + i }));
}

function emptyOf(head: PartHead): Fields {
  if (head.type === 'text' || head.type === 'refusal') return { content: [] };
  if (head.type === 'reasoning') return { summary: [] };
  return head.type === 'tool_call' ? (head.kind === 'custom' ? { input: '' } : { arguments: '' }) : {};
}

function within(head: PartHead): Fields {
  return head.type === 'reasoning' ? { summary_index: 0 } : { content_index: 0 };
}

function logprobs(head: PartHead): Fields {
  return head.type === 'text' ? { logprobs: [] } : {};
}

function callEvent(head: Extract<PartHead, { type: 'tool_call' }>): string {
  return head.kind === 'custom' ? 'response.custom_tool_call_input' : 'response.function_call_arguments';
}
