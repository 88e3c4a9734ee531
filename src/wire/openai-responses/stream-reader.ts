/** Watches a Responses stream. Each event's name equals the `type` of its data; the terminal event holds the complete response. */
import { Buffer } from 'node:buffer';
import type { Failure } from '../../core/facts.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { cutCallFailure } from '../cut-arguments.ts';
import type { StreamReader } from '../dialect.ts';
import { createFailure, failureFromErrorText, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { EventForm } from '../sse/event-template.ts';
import { EventWatcher } from '../sse/event-watcher.ts';
import type { EventWatcherOptions, Step } from '../sse/event-watcher.ts';
import { readUsage } from '../usage.ts';
import { noteItem, noteResponse } from './opaque.ts';
import { errorOf, finishOf, holdsCutCall, itemHasContent } from './outcome.ts';

const NONE: Uint8Array = Buffer.alloc(0);

const FORM: EventForm = {
  contents: ['delta'],
  padding: 'obfuscation',
  counter: 'sequence_number',
  hasSpaces: false,
  holdsOnly: ({ type, delta, response }, content) => textIn(type).endsWith('.delta') && delta === content && !isRecord(response),
};

export function createResponsesStreamReader(options: Omit<EventWatcherOptions, 'form'>): StreamReader {
  return new ResponsesStreamReader({ ...options, form: FORM });
}

class ResponsesStreamReader extends EventWatcher {
  /** Empty: only the provider's own terminal event completes a stream. */
  protected readonly terminator = NONE;
  protected readonly isWhole = false;

  protected readBlock(): Step {
    const { framer } = this;
    if (framer.outline !== null && framer.dataLine !== null) {
      this.sawEvent = true;
      return this.#readValue(parseOrUndefined(framer.outlinedData), framer.dataLine);
    }
    const data = framer.readData();
    if (data === null) return framer.eventName === '' ? 'pass' : 'strip';
    if (/^\s*$/.test(data)) return framer.eventName === 'error' ? failureFromErrorText(Buffer.from(data), this.phase) : 'strip';
    this.sawEvent = true;
    if (/^\s*\[DONE\]/.test(data)) return createFailure('cut', this.phase, 'the stream ended before the response did');
    return this.#readValue(parseBounded(data), data);
  }

  #readValue(value: unknown, data: string | Buffer): Step {
    if (!isRecord(value)) {
      if (this.framer.eventName === 'error') return failureFromErrorText(Buffer.from(data), this.phase);
      return createFailure('malformed', this.phase, 'an event of the stream is not a JSON object');
    }
    const type = textOrNull(value['type']) ?? this.framer.eventName;
    if (type === 'error' || this.framer.eventName === 'error' || (type === '' && isRecord(value['error'])))
      return failureFromErrorValue(isRecord(value['error']) ? value : { error: value }, this.phase, Buffer.from(data));
    const { response } = value;
    if (isRecord(response)) {
      const failure = this.#readResponse(response, Buffer.from(data));
      if (failure !== null) return failure;
    }
    return this.#readEvent(type, value);
  }

  #readResponse(response: Fields, data: Buffer): Failure | null {
    this.facts.model = textOrNull(response['model']) ?? this.facts.model;
    this.facts.usage = readUsage(response['usage'], response['service_tier']) ?? this.facts.usage;
    const error = errorOf(response);
    if (error !== null) return failureFromErrorValue({ error }, this.phase, data);
    noteResponse(this.facts, response);
    return null;
  }

  #readEvent(type: string, event: Fields): Step {
    const { response, item } = event;
    switch (type) {
      case 'response.output_item.added':
        if (isRecord(item)) this.#readItem(item);
        return 'pass';
      case 'response.output_item.done':
        if (isRecord(item)) noteItem(this.facts, item);
        if (isRecord(item) && itemHasContent(item)) this.noteContent();
        return 'pass';
      case 'response.completed':
      case 'response.incomplete':
        return isRecord(response) ? this.#readEnd(response) : 'pass';
      case 'response.failed':
      case 'response.cancelled':
        return createFailure('error', this.phase, 'the provider ended the response without a reason');
      default:
        if (type.endsWith('.delta')) this.#readDelta(event['delta']);
        return 'pass';
    }
  }

  #readItem(item: Fields): void {
    const type = textIn(item['type']);
    if (type === 'message' || type === 'reasoning') return;
    this.noteContent();
  }

  #readDelta(delta: unknown): void {
    if (typeof delta !== 'string' || delta === '') return;
    this.countContent(delta.length);
    this.addTemplate(null);
  }

  #readEnd(response: Fields): Step {
    const output = recordsIn(response['output']);
    if (output.some(itemHasContent)) this.noteContent();
    const finish = finishOf(response);
    if (holdsCutCall(output, finish)) return cutCallFailure(this.phase, 'stream');
    this.facts.finishReason = finish;
    return 'done';
  }
}
