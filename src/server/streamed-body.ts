/** A body that is processed as a stream, with limits on time and buffered bytes. */
import { Readable, pipeline } from 'node:stream';
import type { Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { Running } from '../pipeline/request/running-list.ts';
import { decoderOf } from './body.ts';
import type { Call } from './call.ts';
import type { Stallable } from './stall-watch.ts';

/** The longest silence of the sender, in milliseconds. */
const SILENCE_MAX_MS = 60_000;
/** Buffered bytes below this are not counted. */
const UNCOUNTED_BYTES = 256 * 1024;
/** The Retry-After if the memory is full, in milliseconds. */
const ROOM_RETRY_MS = 1_000;

/** Accounts for one body that is being received. `close` is called once on every path. */
export class StreamedBody implements Stallable {
  older: Running | null = null;
  newer: Running | null = null;
  readonly givesWayAfterMs = 2_000;
  movedAt: Instant;
  heldBytes = 0;
  readonly #call: Call;
  #stoppedBy: BreakwaterError | null = null;
  /** True: waiting for the sender; false: processing a chunk. */
  #isAwaited = false;

  constructor(call: Call) {
    this.#call = call;
    this.movedAt = call.now();
    call.stalls.add(this);
  }

  get holder(): string {
    return this.#call.holder;
  }

  /** Sets the number of buffered bytes. Throws `queue_full`. */
  holds(bytes: number): void {
    const { gateway } = this.#call;
    const counted = this.#stoppedBy !== null ? 0 : Math.max(0, bytes - UNCOUNTED_BYTES);
    const more = counted - this.heldBytes;
    if (more < 0) gateway.releaseBytes(-more, this.holder);
    else if (more > 0 && !gateway.tryHoldBytes(more, this.holder, 0, this.heldBytes))
      throw new BreakwaterError('queue_full', 'too many bytes are buffered to accept another request body', {
        retryAfterMs: ROOM_RETRY_MS,
      });
    this.heldBytes = counted;
  }

  /** Passes the chunks through, and supervises the sender. */
  async *watched(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#await();
    for await (const piece of pieces) {
      if (this.#stoppedBy !== null) throw this.#stoppedBy;
      this.#isAwaited = false;
      yield piece;
      this.#await();
    }
    this.#isAwaited = false;
  }

  close(): void {
    this.#call.stalls.remove(this);
    this.holds(0);
  }

  look(now: Instant): void {
    if (this.#stoppedBy === null && this.#isAwaited && now - this.movedAt >= SILENCE_MAX_MS)
      this.stop(new BreakwaterError('invalid_request', 'the request body was sent too slowly: nothing for a minute', { status: 408 }));
  }

  stop(error: BreakwaterError): void {
    this.#stoppedBy = error;
    this.holds(0);
    this.#call.exchange.stopBody(error);
  }

  #await(): void {
    this.#isAwaited = true;
    this.movedAt = this.#call.now();
  }
}

/** The decoded body. Throws `invalid_request` if it can't be decoded, and `CallerLeft`. */
export function decodedPieces({ exchange }: Call, body: StreamedBody): AsyncGenerator<Uint8Array> {
  const encoding = exchange.header('content-encoding')?.trim().toLowerCase() ?? '';
  const pieces = body.watched(exchange.bodyPieces());
  return encoding === '' || encoding === 'identity' ? pieces : decode(pieces, encoding);
}

async function* decode(pieces: AsyncGenerator<Uint8Array>, encoding: string): AsyncGenerator<Uint8Array> {
  const open = decoderOf(encoding);
  const first = await pieces.next();
  if (first.done === true) return;
  const decoder = open(first.value);
  const source: { failure: Error | null } = { failure: null };
  const read = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield first.value;
      yield* pieces;
    } catch (error) {
      source.failure = error as Error;
      throw error;
    }
  };
  // Errors are thrown by the loop below.
  pipeline(Readable.from(read(), { objectMode: false }), decoder, () => {});
  try {
    for await (const piece of decoder as AsyncIterable<Uint8Array>) yield piece;
  } catch (error) {
    if (source.failure !== null) throw source.failure;
    throw new BreakwaterError('invalid_request', `the request body is not valid ${encoding}`, { cause: error });
  }
}
