/** A body that goes on as it comes: bounded in time, and in what is held of it. */
import { Readable, pipeline } from 'node:stream';
import type { Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { Running } from '../pipeline/request/running-list.ts';
import { decoderOf } from './body.ts';
import type { Call } from './call.ts';
import type { Stallable } from './stall-watch.ts';

/** Without a byte for so long its sender has stopped, in milliseconds. */
const SILENCE_MAX_MS = 60_000;
/** So much of it may be held without being counted, in bytes. */
const UNCOUNTED_BYTES = 256 * 1024;
/** When a caller who found no room may well find it, in milliseconds. */
const ROOM_RETRY_MS = 1_000;

/** What is held of one body that is being received. `close` once, on every path. */
export class StreamedBody implements Stallable {
  older: Running | null = null;
  newer: Running | null = null;
  readonly givesWayAfterMs = 2_000;
  movedAt: Instant;
  heldBytes = 0;
  readonly #call: Call;
  #stoppedBy: BreakwaterError | null = null;
  /** Its sender is waited for; false: what came is being worked on. */
  #isAwaited = false;

  constructor(call: Call) {
    this.#call = call;
    this.movedAt = call.now();
    call.stalls.add(this);
  }

  get holder(): string {
    return this.#call.holder;
  }

  /** So many bytes of it are held now. Throws `queue_full`. */
  holds(bytes: number): void {
    const { gateway } = this.#call;
    const counted = this.#stoppedBy !== null ? 0 : Math.max(0, bytes - UNCOUNTED_BYTES);
    const more = counted - this.heldBytes;
    if (more < 0) gateway.releaseBytes(-more, this.holder);
    else if (more > 0 && !gateway.tryHoldBytes(more, this.holder, 0, this.heldBytes))
      throw new BreakwaterError('queue_full', 'no room for another request body: too many bytes are waiting', {
        retryAfterMs: ROOM_RETRY_MS,
      });
    this.heldBytes = counted;
  }

  /** The pieces as they come, or the decoded ones. */
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
      this.stop(new BreakwaterError('invalid_request', 'the request body came too slowly: nothing for a minute', { status: 408 }));
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

/** The body without its encoding. Throws `invalid_request` where it can't be decoded, and `CallerLeft`. */
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
  // What fails is thrown by the loop.
  pipeline(Readable.from(read(), { objectMode: false }), decoder, () => {});
  try {
    for await (const piece of decoder as AsyncIterable<Uint8Array>) yield piece;
  } catch (error) {
    if (source.failure !== null) throw source.failure;
    throw new BreakwaterError('invalid_request', `the request body is not valid ${encoding}`, { cause: error });
  }
}
