/** Converts a provider's response to the caller's dialect. */
import { Buffer } from 'node:buffer';
import type { ResponseFacts, Failure, Phase } from '../core/facts.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import { CODECS } from './codecs.ts';
import { createFailure, failedFinishFailure } from './failure.ts';
import { createToolFilter } from './tool-names.ts';
import type { EventFilter } from './custom-tools.ts';
import { foldEvents, unfoldResponse } from './model-fold.ts';
import type { DialectName, ModelEvent, ModelResponse, StreamParser, StreamWriter, WriteOptions } from './model.ts';
import type { StreamPush, StreamReader } from './dialect.ts';
import { isConvertible } from './parse-limits.ts';

const NO_CHUNKS: readonly Uint8Array[] = [];

/**
 * Reads the provider's stream and converts it to the caller's dialect. The watcher decides whether the stream is complete, failed or
 * malformed; this class only converts its events.
 */
export class ConvertedStreamReader implements StreamReader {
  readonly facts: ResponseFacts = { model: null, usage: null, finishReason: null, hasContent: false };
  readonly #watcher: StreamReader;
  readonly #parser: StreamParser;
  readonly #filter: EventFilter | null;
  readonly #writer: StreamWriter;
  /** Parts with content of which nothing has been written yet. */
  readonly #held = new Set<string>();

  /** `from`: the dialect of the watched stream. */
  constructor(watcher: StreamReader, from: DialectName, to: DialectName, options: WriteOptions) {
    this.#watcher = watcher;
    this.#parser = CODECS[from].createParser();
    this.#filter = createToolFilter(from, options.tools);
    this.#writer = CODECS[to].createWriter(options);
  }

  get isComplete(): boolean {
    return this.#watcher.isComplete;
  }

  get estimatedOutputTokens(): number {
    return this.#watcher.estimatedOutputTokens;
  }

  push(chunk: Uint8Array): StreamPush {
    return this.#convert(this.#watcher.push(chunk));
  }

  end(): StreamPush {
    return this.#convert(this.#watcher.end());
  }

  #convert(push: StreamPush): StreamPush {
    if (!push.pieces.every(isConvertible)) {
      return { pieces: NO_CHUNKS, hasContent: false, done: false, failure: tooLarge(this.#phase) };
    }
    let text = '';
    let hasContent = false;
    const events = this.#parser.parse(push.pieces);
    const { failedFinish } = this.#watcher.facts;
    const isWhole = push.done && failedFinish === undefined;
    for (const event of isWhole ? [...events, ...this.#parser.end()] : events) {
      if (isUnnamedCall(event)) return { pieces: piecesOf(text), hasContent, done: false, failure: unnamedCall(this.#phase) };
      for (const filtered of this.#filter?.(event) ?? [event]) {
        const written = this.#writer.write(filtered);
        text += written;
        if (written === '') this.#hold(filtered);
        else hasContent = this.#isHeld(filtered) || hasContent || isContent(filtered);
      }
    }
    this.#updateFacts(hasContent);
    if (failedFinish !== undefined && push.failure === null)
      return { pieces: piecesOf(text), hasContent, done: false, failure: failedFinishFailure(failedFinish, this.#phase) };
    if (push.done && this.#isLost())
      return { pieces: NO_CHUNKS, hasContent: false, done: false, failure: emptyConversion('first_content') };
    return { pieces: piecesOf(text), hasContent, done: push.done, failure: push.failure };
  }

  get #phase(): Phase {
    return this.facts.hasContent ? 'answer' : 'first_content';
  }

  /** Records content that the writer holds back until its part ends. */
  #hold(event: ModelEvent): void {
    if (isContent(event) && 'part' in event && (event.type !== 'delta' || event.text !== ''))
      this.#held.add(`${event.choice} ${event.part}`);
  }

  #isHeld(event: ModelEvent): boolean {
    return event.type === 'part_end' && this.#held.delete(`${event.choice} ${event.part}`);
  }

  /** The provider sent content, but none of it has a place in the caller's dialect. */
  #isLost(): boolean {
    const { hasContent, finishReason, usage } = this.#watcher.facts;
    return hasContent && !this.facts.hasContent && !mayBeEmpty(finishReason, usage);
  }

  /** Only content that has a place in the caller's dialect counts. */
  #updateFacts(hasContent: boolean): void {
    const { model, usage, finishReason, opaque } = this.#watcher.facts;
    Object.assign(this.facts, { model, usage, finishReason });
    if (opaque !== undefined) this.facts.opaque = opaque;
    this.facts.hasContent ||= hasContent;
  }
}

function piecesOf(text: string): readonly Uint8Array[] {
  return text === '' ? NO_CHUNKS : [Buffer.from(text)];
}

/** A call that has arguments and no name can't be run. */
function isUnnamedCall(event: ModelEvent): boolean {
  return event.type === 'part_start' && event.head.type === 'tool_call' && event.head.name === '';
}

/** True if a complete response holds one. */
function holdsUnnamedCall({ choices }: ModelResponse): boolean {
  return choices.some(({ parts }) => parts.some(({ head }) => head.type === 'tool_call' && head.name === ''));
}

export function unnamedCall(phase: Phase): Failure {
  return createFailure('malformed', phase, 'a tool call has no name');
}

/** Unlike an empty response from the provider, it is not passed to the caller as a last resort. */
export function emptyConversion(phase: Phase): Failure {
  return createFailure('empty', phase, "nothing in the response has an equivalent in the caller's protocol");
}

/** Converting it would block the event loop for too long. */
export function tooLarge(phase: Phase): Failure {
  return createFailure('malformed', phase, "the response has too many values to be converted to the caller's protocol");
}

function isContent(event: ModelEvent): boolean {
  return event.type === 'delta' || (event.type === 'part_start' && (event.head.type === 'tool_call' || event.head.type === 'media'));
}

export interface ConvertedResponse {
  readonly body: Uint8Array;
  /** Something in it has a place in the caller's dialect. */
  readonly hasContent: boolean;
  readonly hasUnnamedCall: boolean;
}

/** Converts a validated, complete response. */
export function convertResponse(body: Uint8Array, from: DialectName, to: DialectName, options: WriteOptions): ConvertedResponse {
  const parsed = CODECS[from].parseResponse(body);
  const filter = createToolFilter(from, options.tools);
  const response = filter === null ? parsed : foldEvents([...unfoldResponse(parsed)].flatMap(filter));
  return {
    body: CODECS[to].writeResponse(response, options),
    hasContent: hasText(response) || hasMedia(response, to, options),
    hasUnnamedCall: holdsUnnamedCall(parsed),
  };
}

function hasText({ choices }: ModelResponse): boolean {
  return choices.some(({ parts }) => parts.some(({ head, text }) => head.type !== 'foreign' && text !== ''));
}

/** True if it has media that the dialect `to` can hold. */
function hasMedia({ choices }: ModelResponse, to: DialectName, options: WriteOptions): boolean {
  const media = choices.flatMap(({ parts }) => parts.filter(({ head }) => head.type === 'media'));
  return media.some(({ head }) => CODECS[to].createWriter(options).write({ type: 'part_start', choice: 0, part: 0, head }) !== '');
}
