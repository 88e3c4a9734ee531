/** Writes model events as a response, streamed or not: chat by its dialect's codec, or a legacy completion. */
import type { TokenUsage } from '../core/facts.ts';
import { asBuffer } from '../wire/bytes.ts';
import { CODECS } from '../wire/codecs.ts';
import { foldEvents } from '../wire/model-fold.ts';
import type { ModelEvent, ModelResponse, StreamWriter, WriteOptions } from '../wire/model.ts';
import { encodeErrorBody } from '../wire/openai-error.ts';
import type { Form } from './read-call.ts';

export interface ResponseOut {
  head(status: number, contentType: string): void;
  data(text: string): void;
}

export interface ResponseWriter {
  /** True once the head is written: a failure can no longer become an error response. */
  readonly hasBegun: boolean;
  write(event: ModelEvent): void;
}

const EVENTS_TYPE = 'text/event-stream; charset=utf-8';
const JSON_TYPE = 'application/json';

export function createResponseWriter(form: Form, stream: boolean, options: WriteOptions, out: ResponseOut): ResponseWriter {
  return stream ? new StreamedResponse(createStreamWriter(form, options), out) : new WholeResponse(form, options, out);
}

/** An error response in OpenAI's format. */
export function writeError(out: ResponseOut, status: number, error: { code: string; message: string; param?: string | null }): void {
  out.head(status, JSON_TYPE);
  out.data(asBuffer(errorBody(status, error)).toString());
}

export function errorBody(status: number, error: { code: string; message: string; param?: string | null }): Uint8Array {
  const { code, message, param = null } = error;
  return encodeErrorBody({ message, type: status < 500 ? 'invalid_request_error' : 'server_error', param, code });
}

class WholeResponse implements ResponseWriter {
  readonly hasBegun = false;
  readonly #form: Form;
  readonly #options: WriteOptions;
  readonly #out: ResponseOut;
  readonly #events: ModelEvent[] = [];

  constructor(form: Form, options: WriteOptions, out: ResponseOut) {
    this.#form = form;
    this.#options = options;
    this.#out = out;
  }

  write(event: ModelEvent): void {
    this.#events.push(event);
    if (event.type !== 'end') return;
    const response = foldEvents(this.#events);
    const isChat = this.#form === 'chat';
    this.#out.head(200, JSON_TYPE);
    this.#out.data(
      isChat ? asBuffer(CODECS['openai-chat'].writeResponse(response, this.#options)).toString() : completionOf(response, this.#options),
    );
  }
}

class StreamedResponse implements ResponseWriter {
  readonly #writer: StreamWriter;
  readonly #out: ResponseOut;
  hasBegun = false;

  constructor(writer: StreamWriter, out: ResponseOut) {
    this.#writer = writer;
    this.#out = out;
  }

  write(event: ModelEvent): void {
    const text = this.#writer.write(event);
    if (text === '') return;
    if (!this.hasBegun) this.#out.head(200, EVENTS_TYPE);
    this.hasBegun = true;
    this.#out.data(text);
  }
}

function createStreamWriter(form: Form, options: WriteOptions): StreamWriter {
  if (form === 'completions') return new CompletionStreamWriter(options);
  const writer = CODECS['openai-chat'].createWriter(options);
  return {
    // As in OpenAI's streams, the first chunk carries the role and no text.
    write: (event) => writer.write(event) + (event.type === 'part_start' ? writer.write({ ...event, type: 'delta', text: '' }) : ''),
  };
}

/** The chunks of a legacy completion. */
class CompletionStreamWriter implements StreamWriter {
  readonly #options: WriteOptions;
  #usage: TokenUsage | null = null;

  constructor(options: WriteOptions) {
    this.#options = options;
  }

  write(event: ModelEvent): string {
    switch (event.type) {
      case 'delta':
        return this.#choice(event.choice, event.text, null);
      case 'finish':
        return this.#choice(event.choice, '', event.reason);
      case 'usage':
        this.#usage = event.usage;
        return '';
      case 'end':
        return `${this.#usageChunk()}data: [DONE]\n\n`;
      default:
        return '';
    }
  }

  #choice(index: number, text: string, finishReason: string | null): string {
    return this.#chunk([{ index, text, logprobs: null, finish_reason: finishReason }], null);
  }

  #usageChunk(): string {
    return this.#options.includeUsage && this.#usage !== null ? this.#chunk([], completionUsage(this.#usage)) : '';
  }

  #chunk(choices: readonly object[], usage: object | null): string {
    const chunk = { ...completionHead(this.#options), choices, ...(this.#options.includeUsage && { usage }) };
    return `data: ${JSON.stringify(chunk)}\n\n`;
  }
}

function completionOf({ choices, usage }: ModelResponse, options: WriteOptions): string {
  const written = choices.map(({ index, parts, finish }) => ({
    index,
    text: parts.map(({ text }) => text).join(''),
    logprobs: null,
    finish_reason: finish?.reason ?? 'stop',
  }));
  return JSON.stringify({ ...completionHead(options), choices: written, ...(usage !== null && { usage: completionUsage(usage) }) });
}

function completionHead({ id, createdAt, model }: WriteOptions): object {
  return { id, object: 'text_completion', created: createdAt, model };
}

function completionUsage({ inputTokens, outputTokens }: TokenUsage): object {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}
