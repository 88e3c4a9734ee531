/** The most unread bytes of a body that is read as a stream. */
const WAITING_BYTES_MAX = 256 * 1024;

/** The consumer of a body. */
export interface BodyTaker {
  /** False: the rest of the body is discarded. */
  take(chunk: Buffer): boolean;
  finish(): void;
  fail(error: Error): void;
}

/** The most bytes of a body without a reader yet; beyond it the connection is not read. */
const EARLY_BYTES_MAX = 64 * 1024;

/** The source of a body. */
export interface BodySource {
  /** Pauses reading until `readOn`. */
  holdReading(): void;
  readOn(): void;
}

/** The body of one request: buffered until it has a reader, read, or discarded. */
export class IncomingBody {
  readonly #source: BodySource;
  /** The body is complete. */
  isReceived = false;
  #reader: BodyTaker | null = null;
  /** Chunks received before there was a reader. */
  #early: Buffer[] | null = null;
  #earlyBytes = 0;
  /** The rest is read and dropped. */
  #isDiscarded = false;

  constructor(source: BodySource) {
    this.#source = source;
  }

  readBy(reader: BodyTaker): void {
    this.#reader = reader;
    const early = this.#early;
    this.#early = null;
    this.#earlyBytes = 0;
    for (const chunk of early ?? []) this.came(chunk);
    if (this.isReceived) this.#finish();
    else this.#source.readOn();
  }

  /** The body as a stream. The rest is discarded if iteration stops early. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const queue = new PieceQueue(this.#source);
    this.readBy(queue);
    try {
      for (let piece = await queue.next(); piece !== null; piece = await queue.next()) yield piece;
    } finally {
      if (!this.isReceived) this.discard();
    }
  }

  came(chunk: Buffer): void {
    if (this.#reader !== null) {
      if (!this.#reader.take(chunk)) this.discard();
    } else if (!this.#isDiscarded) {
      (this.#early ??= []).push(chunk);
      this.#earlyBytes += chunk.length;
      if (this.#earlyBytes > EARLY_BYTES_MAX) this.#source.holdReading();
    }
  }

  ended(): void {
    this.isReceived = true;
    this.#finish();
  }

  #finish(): void {
    this.#reader?.finish();
    this.#reader = null;
  }

  /** Reads and drops the rest, so that the next request on the connection can be read. */
  discard(): void {
    this.#reader = null;
    this.#early = null;
    this.#isDiscarded = true;
    if (!this.isReceived) this.#source.readOn();
  }

  fail(error: Error): void {
    this.#reader?.fail(error);
    this.#reader = null;
    this.#early = null;
    this.#isDiscarded = true;
  }

  stop(error: Error): void {
    this.#reader?.fail(error);
    this.discard();
  }
}

/** Queues chunks until they are read, with back-pressure on the connection. */
class PieceQueue implements BodyTaker {
  readonly #source: BodySource;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #isOver = false;
  #error: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(source: BodySource) {
    this.#source = source;
  }

  take(chunk: Buffer): boolean {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > WAITING_BYTES_MAX) this.#source.holdReading();
    this.#wake?.();
    return true;
  }

  finish(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#error = error;
    this.#wake?.();
  }

  /** The next chunk; null: end of body. Throws the error that interrupted the body. */
  async next(): Promise<Buffer | null> {
    while (this.#pieces.length === 0) {
      if (this.#error !== null) throw this.#error;
      if (this.#isOver) return null;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
    const piece = this.#pieces.shift()!;
    const wasHeld = this.#bytes > WAITING_BYTES_MAX;
    this.#bytes -= piece.length;
    if (wasHeld && this.#bytes <= WAITING_BYTES_MAX) this.#source.readOn();
    return piece;
  }
}
