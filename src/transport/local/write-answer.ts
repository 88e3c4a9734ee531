/** A local answer in the words of the OpenAI protocol, plain or as events. */
import type { Generated } from '../../local/engine.ts';
import type { LocalRequest } from './read-prompt.ts';

export interface AnswerOut {
  head(status: number, contentType: string): void;
  data(text: string): void;
}

export interface AnswerWriter {
  /** True once something has gone out. */
  readonly hasBegun: boolean;
  text(text: string): void;
  end(generated: Generated): void;
}

const EVENTS = 'text/event-stream; charset=utf-8';
const JSON_TYPE = 'application/json';

interface Names {
  readonly id: string;
  /** `provider/model`: who really answered. */
  readonly model: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

export function createWriter(request: LocalRequest, names: Names, out: AnswerOut): AnswerWriter {
  return request.stream ? new EventWriter(request, names, out) : new PlainWriter(request, names, out);
}

/** The error of a call, as a provider would send it. */
export function writeError(out: AnswerOut, status: number, error: { code: string; message: string; param?: string | null }): void {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  out.head(status, JSON_TYPE);
  out.data(JSON.stringify({ error: { message: error.message, type, param: error.param ?? null, code: error.code } }));
}

function usageOf({ inputTokens, outputTokens }: Generated) {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}

class PlainWriter implements AnswerWriter {
  readonly hasBegun = false;
  readonly #request: LocalRequest;
  readonly #names: Names;
  readonly #out: AnswerOut;
  #text = '';

  constructor(request: LocalRequest, names: Names, out: AnswerOut) {
    this.#request = request;
    this.#names = names;
    this.#out = out;
  }

  text(text: string): void {
    this.#text += text;
  }

  end(generated: Generated): void {
    const isChat = this.#request.form === 'chat';
    const { id, model, created } = this.#names;
    const said = isChat ? { message: { role: 'assistant', content: this.#text, refusal: null } } : { text: this.#text };
    const choice = { index: 0, ...said, logprobs: null, finish_reason: generated.finishReason };
    const object = isChat ? 'chat.completion' : 'text_completion';
    this.#out.head(200, JSON_TYPE);
    this.#out.data(JSON.stringify({ id, object, created, model, choices: [choice], usage: usageOf(generated) }));
  }
}

class EventWriter implements AnswerWriter {
  readonly #request: LocalRequest;
  readonly #out: AnswerOut;
  /** What all chunks have in common. */
  readonly #frame: Readonly<Record<string, unknown>>;
  #began = false;

  constructor(request: LocalRequest, names: Names, out: AnswerOut) {
    this.#request = request;
    this.#out = out;
    const object = request.form === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    this.#frame = { id: names.id, object, created: names.created, model: names.model };
  }

  get hasBegun(): boolean {
    return this.#began;
  }

  text(text: string): void {
    this.#begin();
    this.#choice(text, null);
  }

  end(generated: Generated): void {
    this.#begin();
    this.#choice('', generated.finishReason);
    if (this.#request.includeUsage) this.#event({ ...this.#frame, choices: [], usage: usageOf(generated) });
    this.#out.data('data: [DONE]\n\n');
  }

  #begin(): void {
    if (this.#began) return;
    this.#began = true;
    this.#out.head(200, EVENTS);
    if (this.#request.form === 'chat') {
      this.#chunk({ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null });
    }
  }

  #choice(text: string, finishReason: Generated['finishReason'] | null): void {
    const said = this.#request.form === 'completions' ? { text } : { delta: text === '' ? {} : { content: text } };
    this.#chunk({ index: 0, ...said, logprobs: null, finish_reason: finishReason });
  }

  #chunk(choice: object): void {
    this.#event({ ...this.#frame, choices: [choice], ...(this.#request.includeUsage && { usage: null }) });
  }

  #event(value: object): void {
    this.#out.data(`data: ${JSON.stringify(value)}\n\n`);
  }
}
