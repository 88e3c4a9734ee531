/** A provider's response in the dialect of a caller who speaks another one. */
import { Buffer } from 'node:buffer';
import type { ResponseFacts, Failure, Phase } from '../core/facts.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import { CODECS } from './codecs.ts';
import { createFailure } from './failure.ts';
import { createToolFilter } from './tool-names.ts';
import type { EventFilter } from './custom-tools.ts';
import { foldEvents, unfoldResponse } from './model-fold.ts';
import type { DialectName, ModelEvent, ModelResponse, StreamParser, StreamWriter, WriteOptions } from './model.ts';
import type { StreamPush, StreamReader } from './dialect.ts';

const NO_PIECES: readonly Uint8Array[] = [];

/**
 * Reads the provider's stream and gives it in the caller's dialect. What is whole, failed or malformed is the watcher's to say; here
 * its events are only translated.
 */
export class ConvertedStreamReader implements StreamReader {
  readonly facts: ResponseFacts = { model: null, usage: null, finishReason: null, hasContent: false, toolCallOpen: false };
  readonly #watcher: StreamReader;
  readonly #parser: StreamParser;
  readonly #filter: EventFilter | null;
  readonly #writer: StreamWriter;
  /** Parts with content of which nothing is written so far. */
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
    let text = '';
    let hasContent = false;
    const events = this.#parser.parse(push.pieces);
    for (const event of push.done ? [...events, ...this.#parser.end()] : events) {
      for (const one of this.#filter?.(event) ?? [event]) {
        const written = this.#writer.write(one);
        text += written;
        if (written === '') this.#hold(one);
        else hasContent = this.#isHeld(one) || hasContent || isContent(one);
      }
    }
    this.#learn(hasContent);
    if (push.done && this.#isLost()) return { pieces: NO_PIECES, hasContent: false, done: false, failure: nothingLeft('first_content') };
    return { pieces: text === '' ? NO_PIECES : [Buffer.from(text)], hasContent, done: push.done, failure: push.failure };
  }

  /** The writer keeps content until the end of its part. */
  #hold(event: ModelEvent): void {
    if (isContent(event) && 'part' in event && (event.type !== 'delta' || event.text !== ''))
      this.#held.add(`${event.choice} ${event.part}`);
  }

  #isHeld(event: ModelEvent): boolean {
    return event.type === 'part_end' && this.#held.delete(`${event.choice} ${event.part}`);
  }

  /** The provider has said something, and nothing of it has a place in the caller's dialect. */
  #isLost(): boolean {
    const { hasContent, finishReason, usage } = this.#watcher.facts;
    return hasContent && !this.facts.hasContent && !mayBeEmpty(finishReason, usage);
  }

  /** What the caller's dialect has no place for is no content. */
  #learn(hasContent: boolean): void {
    const { model, usage, finishReason, toolCallOpen, opaque } = this.#watcher.facts;
    Object.assign(this.facts, { model, usage, finishReason, toolCallOpen });
    if (opaque !== undefined) this.facts.opaque = opaque;
    this.facts.hasContent ||= hasContent;
  }
}

/** Not an empty response of the provider, which is given to the caller if there is no better one. */
export function nothingLeft(phase: Phase): Failure {
  return createFailure('empty', phase, "nothing in the response has a place in the caller's protocol");
}

function isContent(event: ModelEvent): boolean {
  return event.type === 'delta' || (event.type === 'part_start' && (event.head.type === 'tool_call' || event.head.type === 'media'));
}

/** A whole response, which has been read as one before. `hasContent`: something of it has a place in the caller's dialect. */
export function convertResponse(
  body: Uint8Array,
  from: DialectName,
  to: DialectName,
  options: WriteOptions,
): { readonly body: Uint8Array; readonly hasContent: boolean } {
  const parsed = CODECS[from].parseResponse(body);
  const filter = createToolFilter(from, options.tools);
  const response = filter === null ? parsed : foldEvents([...unfoldResponse(parsed)].flatMap(filter));
  return { body: CODECS[to].writeResponse(response, options), hasContent: hasAnything(response) };
}

function hasAnything({ choices }: ModelResponse): boolean {
  return choices.some(({ parts }) => parts.some(({ head, text }) => head.type !== 'foreign' && (text !== '' || head.type === 'media')));
}
