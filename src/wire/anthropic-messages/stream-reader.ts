/** Watches a Messages stream. Each event's name equals the `type` of its data; clients skip events without a name. */
import { Buffer } from 'node:buffer';
import { isFailedFinish } from '../../core/finish-reason.ts';
import type { Failure } from '../../core/facts.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import { ArgumentsPrefix, cutCallFailure } from '../cut-arguments.ts';
import type { StreamReader } from '../dialect.ts';
import { createFailure, failureFromErrorText, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import { textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { EventForm } from '../sse/event-template.ts';
import { EventWatcher } from '../sse/event-watcher.ts';
import type { EventWatcherOptions, Step } from '../sse/event-watcher.ts';
import { withStatus } from './error-types.ts';
import { finishClassOf } from './parse-stream.ts';
import { BlockValues, noteHead } from './opaque.ts';
import { readMessagesUsage } from './usage.ts';

const TERMINATOR: Uint8Array = Buffer.from('event: message_stop\ndata: {"type":"message_stop"}\n\n');

/** Calls of one response whose arguments are checked. */
const CALLS_MAX = 1_024;

/** Events with a fragment of text or reasoning. Arguments of tool calls are parsed, to detect their end. */
const FORM: EventForm = {
  contents: ['text', 'thinking'],
  padding: null,
  counter: null,
  hasSpaces: true,
  holdsOnly: ({ type, delta }, content) =>
    type === 'content_block_delta' &&
    isRecord(delta) &&
    ((delta['type'] === 'text_delta' && delta['text'] === content) ||
      (delta['type'] === 'thinking_delta' && delta['thinking'] === content)),
};

export function createMessagesStreamReader(options: Omit<EventWatcherOptions, 'form'>): StreamReader {
  return new MessagesStreamReader({ ...options, form: FORM });
}

class MessagesStreamReader extends EventWatcher {
  protected readonly terminator = TERMINATOR;
  #usage: Fields = {};
  /** The arguments of each tool call block. */
  readonly #arguments = new Map<unknown, ArgumentsPrefix>();
  /** Tool call blocks that have started and not ended. */
  readonly #openCalls = new Set<unknown>();
  readonly #opaque = new BlockValues(this.facts);

  /** There is a stop reason and no call is open. */
  protected get isWhole(): boolean {
    return this.facts.finishReason !== null && this.#openCalls.size === 0;
  }

  protected readBlock(): Step {
    const { framer } = this;
    if (framer.outline !== null && framer.dataLine !== null) {
      this.sawEvent = true;
      return this.#readValue(parseOrUndefined(framer.outlinedData), framer.dataLine);
    }
    const data = framer.readData();
    // Comments pass; an event with a name but no data breaks the official client.
    if (data === null) return framer.eventName === '' ? 'pass' : 'strip';
    if (/^\s*$/.test(data)) return framer.eventName === 'error' ? failureFromErrorText(Buffer.from(data), this.phase) : 'strip';
    this.sawEvent = true;
    // Compatible servers end with OpenAI's `[DONE]`.
    if (/^\s*\[DONE\]/.test(data))
      return this.isWhole ? 'end' : createFailure('cut', this.phase, 'the stream ended before the message did');
    return this.#readValue(parseBounded(data), data);
  }

  #readValue(value: unknown, data: string | Buffer): Step {
    if (!isRecord(value)) {
      if (this.framer.eventName === 'error') return failureFromErrorText(Buffer.from(data), this.phase);
      return createFailure('malformed', this.phase, 'an event of the stream is not a JSON object');
    }
    if (this.framer.eventName === 'error' || value['type'] === 'error' || isRecord(value['error'])) {
      return withStatus(failureFromErrorValue(value, this.phase, Buffer.from(data)));
    }
    const type = textOrNull(value['type']) ?? this.framer.eventName;
    const step = this.#readEvent(type, value);
    return step === 'pass' && this.framer.eventName === '' && type !== '' ? named(type, data) : step;
  }

  #readEvent(type: string, event: Fields): 'pass' | 'done' | Failure {
    switch (type) {
      case 'message_start':
        if (isRecord(event['message'])) this.#readMessage(event['message']);
        return 'pass';
      case 'content_block_start':
        if (isRecord(event['content_block'])) this.#readBlockStart(event['index'], event['content_block']);
        return 'pass';
      case 'content_block_delta':
        if (isRecord(event['delta'])) this.#readBlockDelta(event['index'], event['delta']);
        return 'pass';
      case 'content_block_stop':
        this.#openCalls.delete(event['index']);
        this.#opaque.stop(event['index']);
        return 'pass';
      case 'message_delta':
        return this.#readDelta(event);
      case 'message_stop':
        // Without a stop reason, `message_stop` marks a truncated message.
        return this.facts.finishReason === null ? 'pass' : 'done';
      default:
        return 'pass';
    }
  }

  #readMessage(message: Fields): void {
    this.facts.model = textOrNull(message['model']) ?? this.facts.model;
    noteHead(this.facts, message);
    this.#readUsage(message['usage']);
  }

  #readBlockStart(index: unknown, block: Fields): void {
    const isCall = block['type'] === 'tool_use';
    this.#opaque.start(index, block);
    if (isCall) {
      this.#openCalls.add(index);
      if (this.#arguments.size < CALLS_MAX) this.#arguments.set(index, new ArgumentsPrefix());
    }
    const isText = block['type'] === 'text' || block['type'] === 'thinking';
    if (!isText || textIn(block['text']) !== '' || textIn(block['thinking']) !== '') this.noteContent();
  }

  /** A signature alone is not content. */
  #readBlockDelta(index: unknown, delta: Fields): void {
    const text = textIn(delta['text']) || textIn(delta['thinking']) || textIn(delta['partial_json']);
    if (text === '') return this.#opaque.delta(index, delta);
    if (delta['type'] === 'input_json_delta') this.#arguments.get(index)?.read(text);
    this.countContent(text.length);
    if (this.framer.eventName === 'content_block_delta' && delta['type'] !== 'input_json_delta') this.addTemplate(null);
  }

  #readDelta({ delta, usage }: Fields): 'pass' | Failure {
    this.#readUsage(usage);
    if (isRecord(delta)) noteHead(this.facts, delta);
    const reason = isRecord(delta) ? textOrNull(delta['stop_reason']) : null;
    if (reason === null) return 'pass';
    const finish = finishClassOf(reason);
    // A limit or a filter may end a response anywhere.
    if (finish !== 'length' && finish !== 'content_filter' && [...this.#arguments.values()].some(({ isCut }) => isCut))
      return cutCallFailure(this.phase, 'stream');
    this.facts.finishReason = finish;
    if (isFailedFinish(reason)) this.facts.failedFinish = reason;
    return 'pass';
  }

  #readUsage(usage: unknown): void {
    const read = readMessagesUsage(usage, this.#usage);
    if (read === null) return;
    this.#usage = read.fields;
    this.facts.usage = read.usage;
  }
}

function named(type: string, data: string | Buffer): Uint8Array {
  // Multi-line data was joined with newlines; as a single line it is the same JSON.
  const line = data.toString().replaceAll('\n', ' ');
  return Buffer.from(`event: ${type.replaceAll(/[\r\n]/g, ' ')}\ndata: ${line}\n\n`);
}
