/** Watches a generateContent stream. It has no terminator: it is complete once every candidate has ended and the connection closes. */
import { Buffer } from 'node:buffer';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { cutCallFailure } from '../cut-arguments.ts';
import type { StreamReader } from '../dialect.ts';
import { createFailure, failedFinishFailure, failureFromErrorText, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { EventWatcher } from '../sse/event-watcher.ts';
import type { Step } from '../sse/event-watcher.ts';
import { findWrappedError } from '../wrapped-error.ts';
import { noteChunk } from './opaque.ts';
import { failedFinishOf, finishOf, isBlocked, isCall, isThought, partsOf, partHasContent } from './outcome.ts';
import { readGeminiUsage } from './usage.ts';

const NONE: Uint8Array = Buffer.alloc(0);

/** `maxEventSize` in bytes; `choices`: the number of candidates requested. */
export function createGeminiStreamReader(maxEventSize: number, choices: number): StreamReader {
  return new GeminiStreamReader(maxEventSize, choices);
}

class GeminiStreamReader extends EventWatcher {
  protected readonly terminator = NONE;
  readonly #choices: number;
  readonly #ended = new Set<number>();
  readonly #begun = new Set<number>();
  #isBlocked = false;
  #hasCall = false;
  /** Candidates with a call whose arguments are to be continued. */
  readonly #openCalls = new Set<number>();
  /** There was content other than reasoning. */
  #hasOutput = false;

  constructor(maxEventSize: number, choices: number) {
    super({ maxEventSize });
    this.#choices = choices;
  }

  /** There may be fewer candidates than requested; all that started must have ended. */
  protected get isWhole(): boolean {
    return this.#isBlocked || (this.#ended.size > 0 && this.#ended.size >= Math.min(this.#choices, this.#begun.size));
  }

  protected readBlock(): Step {
    const { framer } = this;
    if (framer.outline !== null && framer.dataLine !== null) {
      this.sawEvent = true;
      return this.#readValue(parseOrUndefined(framer.outlinedData), framer.dataLine);
    }
    const data = framer.readData();
    if (data === null) return this.#readWithoutData();
    if (/^\s*$/.test(data)) return framer.eventName === 'error' ? failureFromErrorText(Buffer.from(data), this.phase) : 'strip';
    this.sawEvent = true;
    // Compatible servers end with OpenAI's `[DONE]`.
    if (/^\s*\[DONE\]/.test(data))
      return this.isWhole ? 'end' : createFailure('cut', this.phase, 'the stream ended before the response did');
    return this.#readValue(parseBounded(data), data);
  }

  /** Comments are removed: Google's SDK fails on them. An error may come as bare JSON. */
  #readWithoutData(): Step {
    const { framer } = this;
    const text = framer.bytes.toString('utf8', framer.start, framer.end).trim();
    if (text.startsWith('{') || text.startsWith('[')) {
      const error = findWrappedError(parseBounded(text));
      if (error !== null) return failureFromErrorValue(error, this.phase, Buffer.from(text));
    }
    return 'strip';
  }

  #readValue(value: unknown, data: string | Buffer): Step {
    const error = findWrappedError(value);
    if (error !== null || this.framer.eventName === 'error')
      return failureFromErrorValue(isRecord(value) ? value : error, this.phase, Buffer.from(data));
    if (!isRecord(value)) {
      // At the end of a stream this is a truncated event: the stream is incomplete.
      this.#ended.clear();
      return createFailure('malformed', this.phase, 'an event of the stream is not a JSON object');
    }
    this.facts.model = textOrNull(value['modelVersion']) ?? this.facts.model;
    this.facts.usage = readGeminiUsage(value['usageMetadata']) ?? this.facts.usage;
    if (isBlocked(value)) {
      this.#isBlocked = true;
      this.facts.finishReason = 'content_filter';
    }
    noteChunk(this.facts, value);
    for (const [position, candidate] of recordsIn(value['candidates']).entries()) {
      if (!this.#readCandidate(candidate, position)) return cutCallFailure(this.phase, 'stream');
    }
    // Reasoning alone is of no use to a caller.
    const { failedFinish, hasContent } = this.facts;
    return failedFinish !== undefined && hasContent && !this.#hasOutput ? failedFinishFailure(failedFinish, this.phase) : 'pass';
  }

  /** False if it ends inside the arguments of a call. */
  #readCandidate(candidate: Fields, position: number): boolean {
    const index = typeof candidate['index'] === 'number' ? candidate['index'] : position;
    this.#begun.add(index);
    for (const part of partsOf(candidate)) {
      if (!partHasContent(part)) continue;
      if (isCall(part)) this.#readCall(index, part);
      this.#hasOutput ||= !isThought(part);
      this.countContent(textIn(part['text']).length);
      // After a call of a server-side tool, the chunk has finish reason `STOP`; the result and the text follow.
      this.#ended.delete(index);
    }
    const finish = finishOf(candidate, this.#hasCall);
    if (finish === null) return true;
    if (this.#openCalls.has(index) && finish !== 'length' && finish !== 'content_filter') return false;
    const failed = failedFinishOf(candidate);
    if (failed !== null) this.facts.failedFinish ??= failed;
    this.#ended.add(index);
    if (index === 0 || this.facts.finishReason === null) this.facts.finishReason = finish;
    return true;
  }

  /** A part without `willContinue` is the last of its call. */
  #readCall(index: number, { functionCall: call }: Fields): void {
    this.#hasCall = true;
    if (isRecord(call) && call['willContinue'] === true) this.#openCalls.add(index);
    else this.#openCalls.delete(index);
  }
}
