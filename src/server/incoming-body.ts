import type { BodyReader } from './body-reader.ts';

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
  #reader: BodyReader | null = null;
  /** What came before anything asked for it. */
  #early: Buffer[] | null = null;
  #earlyBytes = 0;
  /** Nothing will ask for it any more. */
  #isDiscarded = false;

  constructor(source: BodySource) {
    this.#source = source;
  }

  readBy(reader: BodyReader): void {
    this.#reader = reader;
    const early = this.#early;
    this.#early = null;
    this.#earlyBytes = 0;
    for (const chunk of early ?? []) this.came(chunk);
    if (this.isReceived) this.#finish();
    else this.#source.readOn();
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
