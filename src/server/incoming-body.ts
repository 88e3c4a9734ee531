/** Of a body that is read piece by piece, bytes that wait to be taken. */
const WAITING_BYTES_MAX = 256 * 1024;

/** What takes a body. */
export interface BodyTaker {
  /** False: nothing more of it is wanted. */
  take(chunk: Buffer): boolean;
  finish(): void;
  fail(error: Error): void;
}

/** Of a body that nothing has asked for yet: beyond this nothing more is read from its connection, in bytes. */
const EARLY_BYTES_MAX = 64 * 1024;

/** Where a body comes from. */
export interface BodySource {
  /** Reads nothing more until `readOn`. */
  holdReading(): void;
  readOn(): void;
}

/** The body of one request: kept until something asks for it, read, or discarded. */
export class IncomingBody {
  readonly #source: BodySource;
  /** It has come whole. */
  isReceived = false;
  #reader: BodyTaker | null = null;
  /** What came before anything asked for it. */
  #early: Buffer[] | null = null;
  #earlyBytes = 0;
  /** Nothing will ask for it any more. */
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

  /** As it comes. What is not taken is read and forgotten. */
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

  /** What still comes is read and forgotten, so that the next request can be found behind it. */
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

/** Holds what came until it is taken, and the connection back where that is much. */
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

  /** Null: that was all. Throws what broke the body off. */
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
