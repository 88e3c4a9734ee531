/** Writes model events as the chunks of a chat stream, and a complete response as a chat completion. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import type { Fields } from '../loose-values.ts';
import { urlOfSource } from '../media-source.ts';
import type { FinishClass, ModelEvent, ModelResponse, PartHead, ResponsePart, StreamWriter, WriteOptions } from '../model.ts';
import { toCallerId } from '../tool-call-ids.ts';

/** A turn that the provider paused is incomplete: for a chat client it was cut at a limit. */
const FINISH: Readonly<Record<FinishClass, string>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
  pause: 'length',
  other: 'stop',
};

/** `hasDetails`: see `WriteOptions.usageDetails`. */
export function chatUsage(usage: TokenUsage, hasDetails = true): Fields {
  const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens } = usage;
  const totals = { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
  if (!hasDetails) return totals;
  return {
    ...totals,
    prompt_tokens_details: {
      cached_tokens: cachedInputTokens,
      ...(cacheWriteTokens === undefined ? {} : { cache_write_tokens: cacheWriteTokens }),
    },
    completion_tokens_details: { reasoning_tokens: reasoningTokens ?? 0 },
  };
}

export function createChatStreamWriter(options: WriteOptions): StreamWriter {
  return new ChatStreamWriter(options);
}

class ChatStreamWriter implements StreamWriter {
  readonly #options: WriteOptions;
  #id: string;
  #model: string;
  #usage: TokenUsage | null = null;
  /** Choices whose role was sent. */
  readonly #begun = new Set<number>();
  /** Open parts by choice and part; `callIndex`: for a call, its index among the choice's calls. */
  readonly #parts = new Map<string, { readonly head: PartHead; readonly callIndex: number }>();
  readonly #calls = new Map<number, number>();

  constructor(options: WriteOptions) {
    this.#options = options;
    this.#id = options.id;
    this.#model = options.model;
  }

  write(event: ModelEvent): string {
    switch (event.type) {
      case 'start':
        this.#id = event.id ?? this.#id;
        this.#model = event.model ?? this.#model;
        return '';
      case 'part_start':
        return this.#partStart(event.choice, event.part, event.head);
      case 'delta':
        return this.#delta(event.choice, event.part, event.text);
      case 'part_end':
        this.#parts.delete(`${event.choice} ${event.part}`);
        return '';
      case 'finish':
        return this.#chunk(event.choice, {}, FINISH[event.reason]);
      case 'usage':
        this.#usage = event.usage;
        return '';
      case 'end':
        return `${this.#usageChunk()}data: [DONE]\n\n`;
    }
  }

  #partStart(choice: number, part: number, head: PartHead): string {
    const callIndex = this.#calls.get(choice) ?? 0;
    this.#parts.set(`${choice} ${part}`, { head, callIndex });
    if (head.type === 'media') return this.#media(choice, head.source);
    if (head.type !== 'tool_call') return '';
    this.#calls.set(choice, callIndex + 1);
    const call = {
      index: callIndex,
      id: toCallerId('openai-chat', head.id),
      type: 'function',
      function: { name: head.name, arguments: '' },
    };
    return this.#chunk(choice, { tool_calls: [call] }, null);
  }

  #delta(choice: number, part: number, text: string): string {
    const open = this.#parts.get(`${choice} ${part}`);
    switch (open?.head.type) {
      case 'text':
        return this.#chunk(choice, { content: text }, null);
      case 'refusal':
        return this.#chunk(choice, { refusal: text }, null);
      case 'reasoning':
        return this.#chunk(choice, { reasoning_content: text }, null);
      case 'tool_call':
        return this.#chunk(choice, { tool_calls: [{ index: open.callIndex, function: { arguments: text } }] }, null);
      default:
        return '';
    }
  }

  #media(choice: number, source: Extract<PartHead, { type: 'media' }>['source']): string {
    const url = urlOfSource(source);
    return url === null ? '' : this.#chunk(choice, { images: [{ type: 'image_url', image_url: { url } }] }, null);
  }

  #chunk(choice: number, delta: Fields, finish: string | null): string {
    const first = this.#begun.has(choice) ? {} : { role: 'assistant', ...('content' in delta ? {} : { content: '' }) };
    this.#begun.add(choice);
    return this.#event({ choices: [{ index: choice, delta: { ...first, ...delta }, logprobs: null, finish_reason: finish }] }, null);
  }

  #usageChunk(): string {
    if (!this.#options.includeUsage || this.#usage === null) return '';
    return this.#event({ choices: [] }, chatUsage(this.#usage, this.#options.usageDetails));
  }

  #event(fields: Fields, usage: Fields | null): string {
    const head = { id: this.#id, object: 'chat.completion.chunk', created: this.#options.createdAt, model: this.#model };
    return `data: ${JSON.stringify({ ...head, ...fields, ...(this.#options.includeUsage ? { usage } : {}) })}\n\n`;
  }
}

export function writeChatResponse(response: ModelResponse, options: WriteOptions): Uint8Array {
  const { id, model, choices, usage } = response;
  const completion: Fields = {
    id: id ?? options.id,
    object: 'chat.completion',
    created: options.createdAt,
    model: model ?? options.model,
    choices: choices.map(({ index, parts, finish }) => ({
      index,
      message: messageOf(parts),
      logprobs: null,
      finish_reason: FINISH[finish?.reason ?? 'stop'],
    })),
  };
  if (usage !== null) completion['usage'] = chatUsage(usage, options.usageDetails);
  return Buffer.from(JSON.stringify(completion));
}

function messageOf(parts: readonly ResponsePart[]): Fields {
  const textOf = (type: PartHead['type']): string | null => {
    const texts = parts.filter(({ head }) => head.type === type).map(({ text }) => text);
    return texts.length === 0 ? null : texts.join('');
  };
  const message: Fields = { role: 'assistant', content: textOf('text'), refusal: textOf('refusal') };
  const reasoning = textOf('reasoning');
  if (reasoning !== null && reasoning !== '') message['reasoning_content'] = reasoning;
  const calls = parts.flatMap(({ head, text }) =>
    head.type === 'tool_call'
      ? [{ id: toCallerId('openai-chat', head.id), type: 'function', function: { name: head.name, arguments: text } }]
      : [],
  );
  if (calls.length > 0) message['tool_calls'] = calls;
  const images = parts.flatMap(({ head }) => {
    const url = head.type === 'media' ? urlOfSource(head.source) : null;
    return url === null ? [] : [{ type: 'image_url', image_url: { url } }];
  });
  if (images.length > 0) message['images'] = images;
  return message;
}
