/** Reads a stream in the framing given by its content type. */
import type { StreamPush, StreamReader } from '../dialect.ts';
import { EVENT_STREAM_TYPE, EventStreamFraming } from './event-stream.ts';
import type { Framing } from './framing.ts';

/** The reader of a response with this content type. `maxEventSize` in bytes. */
export function framed(contentType: string | undefined, reader: StreamReader, maxEventSize: number): StreamReader {
  return isEventStream(contentType) ? new FramedReader(new EventStreamFraming(maxEventSize), reader) : reader;
}

export function isEventStream(contentType: string | undefined): boolean {
  return (contentType ?? '').split(';')[0]!.trim().toLowerCase() === EVENT_STREAM_TYPE;
}

const NOTHING: StreamPush = { pieces: [], hasContent: false, done: false, failure: null };

class FramedReader implements StreamReader {
  readonly #framing: Framing;
  readonly #reader: StreamReader;
  #isOver = false;

  constructor(framing: Framing, reader: StreamReader) {
    this.#framing = framing;
    this.#reader = reader;
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

  get mayHoldSecret(): boolean {
    return this.#reader.mayHoldSecret ?? true;
  }

  push(chunk: Uint8Array): StreamPush {
    if (this.#isOver) return NOTHING;
    const { events, failure } = this.#framing.push(chunk);
    const push = events === null ? NOTHING : this.#reader.push(events);
    this.#isOver = push.done || push.failure !== null || failure !== null;
    return failure === null || push.done || push.failure !== null ? push : { ...push, failure };
  }

  /** An incomplete message at the end is ignored: the dialect detects that the stream is incomplete. */
  end(): StreamPush {
    return this.#isOver ? NOTHING : this.#reader.end();
  }
}
