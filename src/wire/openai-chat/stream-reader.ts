/**
 * Reads a stream of the OpenAI protocol as it passes: its content, whether it is complete, and how it fails. Returns the original bytes of
 * complete events, so that nothing is rewritten.
 */
import { Buffer } from 'node:buffer';
import { isBlankText } from '../../core/blank-text.ts';
import type { Failure } from '../../core/facts.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { StreamReader } from '../dialect.ts';
import { isAtLimit, isFailedFinish, isWithheld } from '../../core/finish-reason.ts';
import { createFailure, failureFromErrorText, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import { cutCallFailure } from '../cut-arguments.ts';
import { EventWatcher } from '../sse/event-watcher.ts';
import type { EventWatcherOptions, Step } from '../sse/event-watcher.ts';
import type { EventForm } from '../sse/event-template.ts';
import { CHARS_PER_TOKEN, readUsage } from '../usage.ts';
import { EventShape, indexOf } from './response-shape.ts';
import { CallArguments } from './call-arguments.ts';
import { ChoiceProgress } from './choice-progress.ts';
import { estimatedTokens, holdsContent, holdsMore, holdsToolCall } from './content.ts';
import { findError } from '../response-error.ts';
import { noteChatMessage } from './opaque.ts';
import { TERMINATOR } from './terminator.ts';
import { findWrappedError } from '../wrapped-error.ts';

export interface StreamReaderOptions extends Omit<EventWatcherOptions, 'form'> {
  readonly operation: 'chat' | 'completions';
  /** The number of choices requested: with fewer, only [DONE] completes the stream. Default 1. */
  readonly choices?: number;
  /** False: the caller did not request the usage chunk, and it is removed. */
  readonly keepUsage: boolean;
}

export function createChatStreamReader(options: StreamReaderOptions): StreamReader {
  return new ChatStreamReader(options);
}

const DELTA_TEXTS = ['content', 'reasoning_content', 'reasoning', 'reasoning_text', 'thinking'] as const;

/** Events with a fragment of text, of a delta or of a choice. Arguments of tool calls are parsed, to detect their end. */
const FORM: EventForm = {
  contents: [...DELTA_TEXTS, 'text'],
  padding: 'obfuscation',
  counter: null,
  hasSpaces: false,
  holdsOnly({ choices }, content) {
    const choice: unknown = Array.isArray(choices) ? choices[0] : null;
    if (!isRecord(choice)) return false;
    const { delta } = choice;
    return choice['text'] === content || (isRecord(delta) && DELTA_TEXTS.some((name) => delta[name] === content));
  },
};

class ChatStreamReader extends EventWatcher {
  protected readonly terminator = TERMINATOR;
  readonly #keepUsage: boolean;
  readonly #choices: ChoiceProgress;
  readonly #shape: EventShape;
  /** Null: no tool call has begun. */
  #arguments: CallArguments | null = null;

  constructor(options: StreamReaderOptions) {
    super({ ...options, form: FORM });
    this.#keepUsage = options.keepUsage;
    this.#shape = new EventShape(options.operation);
    this.#choices = new ChoiceProgress(options.choices ?? 1);
  }

  protected get isWhole(): boolean {
    return this.#choices.complete;
  }

  protected readBlock(): Step {
    const { framer } = this;
    if (framer.outline !== null && framer.dataLine !== null) return this.#readLargeEvent(framer.dataLine);
    const data = framer.readData();
    if (data === null) return this.#readWithoutData();
    // It only keeps the connection alive, and official clients would fail on it.
    if (/^\s*$/.test(data)) return framer.eventName === 'error' ? failureFromErrorText(Buffer.from(data), this.phase) : 'strip';
    this.sawEvent = true;
    if (/^\s*\[DONE\]/.test(data)) return this.#readTerminator(data);
    if (framer.eventName === 'error') return failureFromErrorText(Buffer.from(data), this.phase);
    return this.#readValue(parseBounded(data), data);
  }

  #readValue(value: unknown, data: string | Buffer): Step {
    if (isRecord(value)) return this.#readChunk(value, data);
    const error = findWrappedError(value);
    if (error !== null) return failureFromErrorValue(error, this.phase, Buffer.from(data));
    return createFailure('malformed', this.phase, 'an event of the stream is not a JSON object');
  }

  /** An event of one line that is too large to be decoded and parsed completely. */
  #readLargeEvent(data: Buffer): Step {
    this.sawEvent = true;
    const value = parseOrUndefined(this.framer.outlinedData);
    if (this.framer.eventName === 'error') return failureFromErrorValue(value, this.phase, data);
    return this.#readValue(value, data);
  }

  /** A block without data is not an event: a comment, or irrelevant fields. But some servers write a bare JSON error into a stream. */
  #readWithoutData(): Step {
    const { framer } = this;
    const first = framer.bytes[framer.start];
    if (first === 0x7b || first === 0x5b) {
      const text = framer.bytes.toString('utf8', framer.start, framer.end);
      const error = findWrappedError(parseBounded(text));
      if (error !== null) return failureFromErrorValue(error, this.phase, Buffer.from(text.trim()));
    }
    // Official clients take a name without data for an event, and fail on it.
    return framer.eventName === '' ? 'pass' : 'strip';
  }

  /** Official clients accept one spelling only; any other is replaced. */
  #readTerminator(data: string): Step {
    if (this.framer.eventName === 'error' && !this.#choices.complete)
      return createFailure('cut', this.phase, 'the stream ended with an error event without a message');
    if (!this.#choices.toolCallOpen) return data === '[DONE]' ? 'done' : 'end';
    return createFailure('cut', this.phase, 'the stream ended inside a tool call');
  }

  #readChunk(chunk: Record<string, unknown>, data: string | Buffer): Step {
    const error = findError(chunk);
    if (error !== null) return failureFromErrorValue(error, this.phase, Buffer.from(data));
    const model = typeof chunk['model'] === 'string' && chunk['model'] !== '' ? chunk['model'] : null;
    this.facts.model = model ?? this.facts.model;
    const groq = chunk['x_groq'];
    const usage = readUsage(chunk['usage'], chunk['service_tier']) ?? (isRecord(groq) ? readUsage(groq['usage']) : null);
    if (usage !== null) this.facts.usage = usage;
    const choices: unknown[] = Array.isArray(chunk['choices']) ? chunk['choices'] : [];
    if (choices.length === 0) return this.#readWithoutChoices(chunk, usage !== null);
    const shaped = this.#shape.of(choices, this.facts.hasContent);
    if (shaped === null) return createFailure('malformed', this.phase, 'the stream repeats complete messages');
    const failure = this.#readChoices(shaped, data);
    if (failure !== null) return failure;
    if (shaped !== choices) {
      if (typeof data !== 'string') return createFailure('malformed', this.phase, 'an event has the shape of another endpoint');
      return this.#shape.write(chunk, shaped);
    }
    if (usage === null && groq === undefined && choices.length === 1 && typeof data === 'string') this.#addTemplateOf(choices[0], model);
    return 'pass';
  }

  /** Removes heartbeats and other events without use for a caller: many clients read the first choice of every chunk. */
  #readWithoutChoices(chunk: Record<string, unknown>, hasUsage: boolean): 'pass' | 'strip' {
    if (hasUsage || isRecord(chunk['usage'])) return this.#keepUsage ? 'pass' : 'strip';
    const choices = chunk['choices'] ?? null;
    if (Array.isArray(choices)) return Array.isArray(chunk['prompt_filter_results']) ? 'pass' : 'strip';
    return choices === null ? 'strip' : 'pass'; // an unknown form may be meaningful
  }

  #readChoices(choices: readonly unknown[], data: string | Buffer): Failure | null {
    for (const [position, choice] of choices.entries()) {
      if (!isRecord(choice)) continue;
      const index = indexOf(choice, position);
      if (!this.#choices.see(index)) return createFailure('malformed', this.phase, 'the stream has too many choices');
      const finish = choice['finish_reason'];
      if (isFailedFinish(finish)) {
        return failureFromErrorValue(
          choice['error'] ?? { message: `the provider ended the response with ${finish}`, code: finish },
          this.phase,
          Buffer.from(data),
        );
      }
      this.#readDelta(choice, index);
      if (typeof finish === 'string' && finish !== '') {
        if (this.#arguments?.isCut(index) === true && !isAtLimit(finish) && !isWithheld(finish))
          return cutCallFailure(this.phase, 'stream');
        this.#choices.finish(index);
        if (index === 0 || this.facts.finishReason === null) this.facts.finishReason = finish;
      }
    }
    return null;
  }

  /** White space counts as content only after other content: a response of white space alone is empty. */
  #readDelta(choice: Record<string, unknown>, index: number): void {
    const delta = choice['delta'] ?? choice['message'];
    if (isRecord(delta) && holdsToolCall(delta)) {
      this.#choices.call(index);
      (this.#arguments ??= new CallArguments()).add(index, delta);
    }
    if (isRecord(delta)) noteChatMessage(this.facts, delta);
    if (!(this.facts.hasContent ? hasMoreContent(choice) : hasContent(choice))) return;
    this.countContent(estimatedTokens(delta ?? choice['text']) * CHARS_PER_TOKEN);
  }

  /** Makes a template of the event just read, if it holds content and nothing else of significance. */
  #addTemplateOf(choice: unknown, model: string | null): void {
    if (this.framer.eventName !== '' || !isRecord(choice)) return;
    if (typeof choice['finish_reason'] === 'string' || choice['message'] !== undefined || !hasContent(choice)) return;
    if (isRecord(choice['delta']) && holdsToolCall(choice['delta'])) return; // its arguments are parsed
    this.addTemplate(model);
  }
}

function hasContent(choice: Record<string, unknown>): boolean {
  const { text } = choice;
  const delta = choice['delta'] ?? choice['message'];
  return (isRecord(delta) && holdsContent(delta)) || (typeof text === 'string' && !isBlankText(text));
}

function hasMoreContent(choice: Record<string, unknown>): boolean {
  const { text } = choice;
  const delta = choice['delta'] ?? choice['message'];
  return (isRecord(delta) && holdsMore(delta)) || (typeof text === 'string' && text !== '');
}
