/** Watches a Converse stream, already unframed, and emits it as Messages events. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { createMessagesStreamReader } from '../anthropic-messages/stream-reader.ts';
import type { StreamPush, StreamReader } from '../dialect.ts';
import { createFailure } from '../failure.ts';
import { parseExact } from '../json-exact.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { MessageEvents } from './to-messages.ts';

export function createConverseStreamReader(maxEventSize: number): StreamReader {
  return new ConverseStreamReader(maxEventSize);
}

class ConverseStreamReader implements StreamReader {
  readonly #framer: SseFramer;
  readonly #reader: StreamReader;
  readonly #events = new MessageEvents();

  constructor(maxEventSize: number) {
    this.#framer = new SseFramer(maxEventSize);
    this.#reader = createMessagesStreamReader({ maxEventSize });
  }

  get facts(): StreamReader['facts'] {
    return this.#reader.facts;
  }

  get isComplete(): boolean {
    return this.#reader.isComplete;
  }

  get estimatedOutputTokens(): number {
    return this.#reader.estimatedOutputTokens;
  }

  push(chunk: Uint8Array): StreamPush {
    this.#framer.push(chunk);
    let text = '';
    let isBroken = this.#framer.tooLarge;
    while (!isBroken && this.#framer.next()) {
      const written = this.#readBlock();
      if (written === null) isBroken = true;
      else text += written;
    }
    const push = this.#reader.push(Buffer.from(text));
    if (!isBroken || push.done || push.failure !== null) return push;
    return { ...push, failure: createFailure('malformed', 'answer', 'an event of the stream is not a JSON object') };
  }

  end(): StreamPush {
    return this.#reader.end();
  }

  /** Null if the block is not an event. */
  #readBlock(): string | null {
    const data = this.#framer.readData();
    if (data === null) return '';
    let event: unknown;
    try {
      event = parseExact(data);
    } catch {
      return null;
    }
    if (!isRecord(event)) return null;
    const written = this.#events.write(this.#framer.eventName, event);
    return written.map((one) => `event: ${String(one['type'])}\ndata: ${JSON.stringify(one)}\n\n`).join('');
  }
}
