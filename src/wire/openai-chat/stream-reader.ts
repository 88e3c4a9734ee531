/**
 * Watches a stream of the OpenAI protocol go by: what has been said, whether it is complete, how it fails; and gives back
 * the original bytes of whole events, so that nothing is written anew (design 4.5, 4.2).
 */
import { Buffer } from 'node:buffer';
import type { AnswerFacts, Failure, Phase } from '../../core/facts.ts';
import { createFailure, failureFromErrorText, failureFromErrorValue } from '../failure.ts';
import { isRecord } from '../json-values.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { readUsage } from '../usage.ts';
import { ChoiceProgress } from './choice-progress.ts';
import { holdsContent, holdsToolCall } from './content.ts';
import { createContentTemplate } from './content-template.ts';
import type { ContentTemplate } from './content-template.ts';
import { findError, isFailedFinish } from './answer-error.ts';
import { TERMINATOR } from './terminator.ts';

export interface StreamPush {
  /** Original bytes of whole events that may go downstream, in order. */
  readonly pieces: readonly Uint8Array[];
  /** True if content is among these pieces. */
  readonly hasContent: boolean;
  /** The stream has ended well, and its terminator is the end of the pieces. */
  readonly done: boolean;
  /** The stream has failed; the pieces are what came before. */
  readonly failure: Failure | null;
}

export interface StreamReader {
  /** What is known so far; goes on changing. */
  readonly facts: AnswerFacts;
  /** True if every choice has ended: only usage and terminator may follow. */
  readonly isComplete: boolean;
  /** After `done` or a failure it gives nothing more. */
  push(chunk: Uint8Array): StreamPush;
  /** The upstream closed cleanly. */
  end(): StreamPush;
}

export interface StreamReaderOptions {
  readonly operation: 'chat' | 'completions';
  /** False: the caller didn't ask for the usage chunk, and it is taken out. */
  readonly keepUsage: boolean;
  /** Bytes of one event; a larger one is `malformed`. */
  readonly maxEventSize: number;
  /** Default true; false reads every event in full, which a test compares with. */
  readonly shortcut?: boolean;
}

export function createChatStreamReader(options: StreamReaderOptions): StreamReader {
  return new ChatStreamReader(options);
}

/** Templates made in a row that no event matched; then the stream isn't of the kind that has them. */
const USELESS_TEMPLATES_MAX = 4;
const NOTHING: StreamPush = { pieces: [], hasContent: false, done: false, failure: null };

/** What becomes of an event: it passes, is taken out, or ends the stream. */
type Step = 'pass' | 'strip' | 'done' | Failure;

class ChatStreamReader implements StreamReader {
  readonly facts: AnswerFacts = { model: null, usage: null, finishReason: null, hasContent: false, toolCallOpen: false };
  readonly #keepUsage: boolean;
  readonly #maxEventSize: number;
  readonly #framer: SseFramer;
  readonly #choices = new ChoiceProgress();
  #template: ContentTemplate | null = null;
  /** The model that its events name, if they do. */
  #templateModel: string | null = null;
  #uselessTemplates: number;
  #closed = false;
  #sawEvent = false;
  /** Of the current push. */
  #pieces: Uint8Array[] = [];
  #hasContent = false;

  constructor(options: StreamReaderOptions) {
    this.#keepUsage = options.keepUsage;
    this.#maxEventSize = options.maxEventSize;
    this.#framer = new SseFramer(options.maxEventSize);
    this.#uselessTemplates = options.shortcut === false ? USELESS_TEMPLATES_MAX : 0;
  }

  get isComplete(): boolean {
    return this.#choices.complete;
  }

  push(chunk: Uint8Array): StreamPush {
    if (this.#closed) return NOTHING;
    const framer = this.#framer;
    framer.push(chunk);
    const bytes = framer.chunk.length === chunk.length ? chunk : framer.chunk;
    this.#pieces = [];
    this.#hasContent = false;
    // The events that may pass lie in runs of the chunk; `runStart` is where the current run begins.
    let runStart = 0;
    for (;;) {
      if (this.#skipTemplateEvents()) continue;
      if (!framer.next()) break;
      const step = this.#readBlock();
      if (step === 'pass') {
        if (framer.joined) {
          this.#pieces.push(framer.bytes);
          runStart = framer.position;
        }
        continue;
      }
      if (!framer.joined) this.#addRun(bytes, runStart, step === 'done' ? framer.end : framer.start);
      else if (step === 'done') this.#pieces.push(withLastLineFeed(framer.bytes));
      if (step !== 'strip') return this.#close(step);
      runStart = framer.position;
    }
    this.#addRun(bytes, runStart, framer.blockEnd);
    if (framer.tooLarge) {
      return this.#close(createFailure('malformed', this.#phase, `an event of the stream is larger than ${this.#maxEventSize} bytes`));
    }
    return { pieces: this.#pieces, hasContent: this.#hasContent, done: false, failure: null };
  }

  end(): StreamPush {
    if (this.#closed) return NOTHING;
    const framer = this.#framer;
    this.#pieces = [];
    this.#hasContent = false;
    if (framer.finish()) {
      const step = this.#readBlock();
      // An event cut short is no event: what the stream lacks is judged below.
      if (typeof step === 'object' && step.kind !== 'malformed') return this.#close(step);
      if (isSecondHalf(framer.bytes)) this.#pieces.push(framer.bytes);
      else if ((step === 'pass' && framer.readData() !== null) || step === 'done') this.#pieces.push(completed(framer.bytes));
      if (step === 'done') return this.#close('done');
    }
    if (this.#choices.complete) {
      this.#pieces.push(TERMINATOR);
      return this.#close('done');
    }
    if (!this.#sawEvent) return this.#close(createFailure('empty', this.#phase, 'the stream ended without an event'));
    return this.#close(createFailure('cut', this.#phase, 'the stream ended before the answer was complete'));
  }

  get #phase(): Phase {
    return this.facts.hasContent ? 'answer' : 'first_content';
  }

  #close(step: 'done' | Failure): StreamPush {
    this.#closed = true;
    this.#template = null;
    const failure = step === 'done' ? null : step;
    return { pieces: this.#pieces, hasContent: this.#hasContent, done: failure === null, failure };
  }

  #addRun(bytes: Uint8Array, start: number, end: number): void {
    if (end > start) this.#pieces.push(end - start === bytes.length ? bytes : bytes.subarray(start, end));
  }

  /** Passes the events that the template knows; true if there was one. */
  #skipTemplateEvents(): boolean {
    const template = this.#template;
    const framer = this.#framer;
    if (template === null || !framer.atBoundary) return false;
    const start = framer.position;
    const end = template.match(framer.text, start);
    if (end < 0 || end - start > this.#maxEventSize) return false;
    framer.skipTo(end);
    this.#noteTemplateEvent();
    return true;
  }

  #noteTemplateEvent(): void {
    this.#uselessTemplates = 0;
    this.#hasContent = true;
    this.facts.hasContent = true;
    this.facts.model = this.#templateModel ?? this.facts.model;
  }

  #readBlock(): Step {
    const framer = this.#framer;
    if (framer.joined && this.#template?.match(framer.readText(), 0) === framer.end) {
      this.#noteTemplateEvent();
      return 'pass';
    }
    const data = framer.readData();
    // Comments, and events without words, say that the provider lives and nothing else.
    if (data === null) return 'pass';
    if (framer.eventName === 'error') return failureFromErrorText(Buffer.from(data), this.#phase);
    if (/^\s*$/.test(data)) return 'pass';
    this.#sawEvent = true;
    if (data.startsWith('[DONE]')) return this.#readTerminator();
    const value = parseObject(data);
    if (value === null) return createFailure('malformed', this.#phase, 'an event of the stream is not a JSON object');
    return this.#readChunk(value, data);
  }

  #readTerminator(): Step {
    if (!this.#choices.toolCallOpen) return 'done';
    return createFailure('cut', this.#phase, 'the stream ended inside a tool call');
  }

  #readChunk(chunk: Record<string, unknown>, data: string): Step {
    const error = findError(chunk);
    if (error !== null) return failureFromErrorValue(error, this.#phase, Buffer.from(data));
    const model = typeof chunk['model'] === 'string' && chunk['model'] !== '' ? chunk['model'] : null;
    this.facts.model = model ?? this.facts.model;
    const groq = chunk['x_groq'];
    const usage = readUsage(chunk['usage']) ?? (isRecord(groq) ? readUsage(groq['usage']) : null);
    if (usage !== null) this.facts.usage = usage;
    const choices: unknown[] = Array.isArray(chunk['choices']) ? chunk['choices'] : [];
    if (choices.length === 0) return isRecord(chunk['usage']) && !this.#keepUsage ? 'strip' : 'pass';
    const failure = this.#readChoices(choices, data);
    if (failure !== null) return failure;
    if (usage === null && groq === undefined && choices.length === 1) this.#renewTemplate(choices[0], model);
    return 'pass';
  }

  #readChoices(choices: readonly unknown[], data: string): Failure | null {
    for (const [position, choice] of choices.entries()) {
      if (!isRecord(choice)) continue;
      const index = typeof choice['index'] === 'number' ? choice['index'] : position;
      if (!this.#choices.see(index)) return createFailure('malformed', this.#phase, 'the stream has too many choices');
      const finish = choice['finish_reason'];
      if (isFailedFinish(finish)) {
        return failureFromErrorValue(
          choice['error'] ?? { message: `the provider ended the answer with ${finish}`, code: finish },
          this.#phase,
          Buffer.from(data),
        );
      }
      this.#readDelta(choice, index);
      if (typeof finish === 'string' && finish !== '') {
        this.#choices.finish(index);
        if (index === 0 || this.facts.finishReason === null) this.facts.finishReason = finish;
      }
      this.facts.toolCallOpen = this.#choices.toolCallOpen;
    }
    return null;
  }

  #readDelta(choice: Record<string, unknown>, index: number): void {
    const delta = choice['delta'] ?? choice['message'];
    const hasText = typeof choice['text'] === 'string' && choice['text'] !== '';
    if (isRecord(delta) && holdsToolCall(delta)) this.#choices.call(index);
    if (!hasText && !(isRecord(delta) && holdsContent(delta))) return;
    this.#hasContent = true;
    this.facts.hasContent = true;
  }

  /** Takes the event just read as the form of those to come, if it is of the plain kind. */
  #renewTemplate(choice: unknown, model: string | null): void {
    const framer = this.#framer;
    if (this.#uselessTemplates >= USELESS_TEMPLATES_MAX || framer.eventName !== '' || !isRecord(choice)) return;
    const delta = choice['delta'];
    if (typeof choice['finish_reason'] === 'string' || (isRecord(delta) && holdsToolCall(delta)) || choice['message'] !== undefined) return;
    const template = createContentTemplate(framer.readText());
    if (template === null) return;
    this.#uselessTemplates++;
    this.#template = template;
    this.#templateModel = model;
  }
}

function parseObject(data: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(data);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** A CRLF may come in two packets; its LF says nothing by itself, but careless readers look for both. */
function isSecondHalf(block: Buffer): boolean {
  return block.length === 1 && block[0] === 0x0a;
}

function withLastLineFeed(block: Buffer): Uint8Array {
  return block.at(-1) === 0x0d && block.at(-2) === 0x0a ? Buffer.concat([block, Buffer.from('\n')]) : block;
}

/** The last event with the blank line that it lacks. After a CR the first LF is its second half. */
function completed(block: Buffer): Uint8Array {
  return Buffer.concat([block, Buffer.from(block.at(-1) === 0x0a ? '\n' : '\n\n')]);
}
