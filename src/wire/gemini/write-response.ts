/** Writes model events as a generateContent stream or a response body. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import { isCutArguments } from '../cut-arguments.ts';
import type { Fields } from '../loose-values.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, ResponsePart, StreamWriter, WriteOptions } from '../model.ts';
import { argumentsObject } from '../tool-arguments.ts';
import { toCallerId } from '../tool-call-ids.ts';
import { FOREIGN_CALL_SIGNATURE } from './opaque.ts';
import { geminiUsage } from './usage.ts';

const FINISH: Readonly<Record<FinishClass, string>> = {
  stop: 'STOP',
  length: 'MAX_TOKENS',
  tool_calls: 'STOP',
  content_filter: 'SAFETY',
  pause: 'MAX_TOKENS',
  other: 'OTHER',
};

/** `array`: a JSON list, the form without `alt=sse`. */
export function createGeminiStreamWriter(options: WriteOptions, form: 'sse' | 'array'): StreamWriter {
  return new GeminiStreamWriter(options, form);
}

interface OpenPart {
  readonly head: PartHead;
  text: string;
}

/** Calls are written complete; finish reasons and usage are in the last chunk. */
class GeminiStreamWriter implements StreamWriter {
  readonly #options: WriteOptions;
  readonly #form: 'sse' | 'array';
  readonly #open = new Map<string, OpenPart>();
  readonly #finishes = new Map<number, FinishClass>();
  /** Choices with a call. */
  readonly #calling = new Set<number>();
  #start: { id: string | null; model: string | null } = { id: null, model: null };
  #usage: TokenUsage | null = null;
  #isFirst = true;

  constructor(options: WriteOptions, form: 'sse' | 'array') {
    this.#options = options;
    this.#form = form;
  }

  write(event: ModelEvent): string {
    switch (event.type) {
      case 'start':
        this.#start = event;
        return '';
      case 'usage':
        this.#usage = event.usage;
        return '';
      case 'finish':
        this.#finishes.set(event.choice, event.reason);
        return '';
      case 'part_start':
        this.#open.set(`${event.choice} ${event.part}`, { head: event.head, text: '' });
        return event.head.type === 'media' ? this.#chunk(event.choice, partOf(event.head, '', null)) : '';
      case 'delta':
        return this.#delta(event.choice, event.part, event.text);
      case 'part_end':
        return this.#partEnd(event.choice, event.part, event.opaque);
      case 'end':
        return this.#end();
    }
  }

  #delta(choice: number, part: number, text: string): string {
    const open = this.#open.get(`${choice} ${part}`);
    if (open === undefined) return '';
    if (open.head.type !== 'tool_call') return this.#chunk(choice, partOf(open.head, text, null));
    open.text += text;
    return '';
  }

  #partEnd(choice: number, part: number, opaque: Opaque | null): string {
    const key = `${choice} ${part}`;
    const open = this.#open.get(key);
    this.#open.delete(key);
    if (open?.head.type === 'tool_call') {
      const isFirst = !this.#calling.has(choice);
      this.#calling.add(choice);
      return this.#chunk(choice, partOf(open.head, open.text, isFirst ? signatureOf(opaque) : opaque));
    }
    if (open === undefined || opaque?.dialect !== 'gemini') return '';
    return this.#chunk(choice, { text: '', thoughtSignature: opaque.value });
  }

  #end(): string {
    const finishes = this.#finishes.size === 0 ? new Map<number, FinishClass>([[0, 'stop']]) : this.#finishes;
    const candidates = [...finishes].map(([index, reason]) => ({
      content: { role: 'model', parts: [{ text: '' }] },
      finishReason: FINISH[reason],
      index,
    }));
    const usage = this.#usage === null ? {} : { usageMetadata: geminiUsage(this.#usage) };
    return this.#event({ candidates, ...usage }) + (this.#form === 'array' ? '\n]' : '');
  }

  #chunk(index: number, part: Fields | null): string {
    return part === null ? '' : this.#event({ candidates: [{ content: { role: 'model', parts: [part] }, index }] });
  }

  #event(fields: Fields): string {
    const { id, model } = this.#start;
    const text = JSON.stringify({ ...fields, modelVersion: model ?? this.#options.model, responseId: id ?? this.#options.id });
    if (this.#form === 'sse') return `data: ${text}\n\n`;
    const before = this.#isFirst ? '[' : ',\n';
    this.#isFirst = false;
    return before + text;
  }
}

export function writeGeminiResponse(response: ModelResponse, options: WriteOptions): Uint8Array {
  const { id, model, choices, usage } = response;
  const candidates = choices.map(({ index, parts, finish }) => ({
    content: {
      role: 'model',
      parts: withSignature(parts).flatMap(({ head, text, opaque }) =>
        text === '' && head.type === 'text' ? [] : (partOf(head, text, opaque) ?? []),
      ),
    },
    finishReason: FINISH[finish?.reason ?? 'stop'],
    index,
  }));
  return Buffer.from(
    JSON.stringify({
      candidates,
      ...(usage === null ? {} : { usageMetadata: geminiUsage(usage) }),
      modelVersion: model ?? options.model,
      responseId: id ?? options.id,
    }),
  );
}

/** Adds a signature to the first call; Google rejects an unsigned one in the next turn. */
function withSignature(parts: readonly ResponsePart[]): readonly ResponsePart[] {
  const first = parts.findIndex(({ head }) => head.type === 'tool_call');
  return parts.map((part, i) => (i === first ? { ...part, opaque: signatureOf(part.opaque) } : part));
}

function signatureOf(opaque: Opaque | null): Opaque {
  return opaque?.dialect === 'gemini' ? opaque : { dialect: 'gemini', value: FOREIGN_CALL_SIGNATURE };
}

/** Null if the dialect has no part for it; nor has it one for a call whose arguments were cut off at a limit. */
function partOf(head: PartHead, text: string, opaque: Opaque | null): Fields | null {
  const signed = opaque?.dialect === 'gemini' ? { thoughtSignature: opaque.value } : {};
  switch (head.type) {
    case 'text':
    case 'refusal':
      return { text, ...signed };
    case 'reasoning':
      return { text, thought: true, ...signed };
    case 'tool_call':
      if (isCutArguments(text)) return null;
      return { functionCall: { id: toCallerId('gemini', head.id), name: head.name, args: argumentsObject(text) }, ...signed };
    case 'media':
      return head.source.kind === 'data' ? { inlineData: { mimeType: head.source.mime, data: head.source.base64 } } : null;
    case 'foreign':
      return null;
  }
}
