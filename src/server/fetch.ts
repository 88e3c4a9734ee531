/** The app as a `fetch` function, in this process and without a socket. */
import type { HeaderPairs } from '../core/headers.ts';
import { ChunkList } from '../core/chunk-list.ts';
import type { App } from './app.ts';
import { joinSmall } from './body-reader.ts';
import { CallerLeft, type BodyGate, type Exchange, type ReceivedBody } from './exchange.ts';
import type { ByteCharge } from './unread-answer.ts';

/** The most unread bytes of a response before back-pressure. */
const waitingBytesMax = 64 * 1024;

/** Statuses whose Response must have no body (Fetch standard). */
const bodiless = new Set([204, 205, 304]);

/**
 * Creates a `fetch` that the app handles, for any host in the URL. As in undici, it rejects with the signal's reason if the caller aborts
 * before the head, and the body errors if the response is aborted.
 */
export function createFetch(app: App): typeof fetch {
  return (input, init) =>
    new Promise((resolve, reject) => {
      const request = new Request(input, init);
      if (request.signal.aborted) throw request.signal.reason;
      app.handle(new FetchExchange(request, resolve, reject));
    });
}

class FetchExchange implements Exchange {
  readonly place = 'process';
  readonly address = null;
  readonly isHttp10 = false;
  readonly method: string;
  readonly target: string;
  readonly #request: Request;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  onLeave: (() => void) | null = null;
  hasLeft = false;
  readonly #onAbort = (): void => this.#callerLeft(this.#request.signal.reason);
  #status = 0;
  #added: HeaderPairs | null = null;
  #headers: HeaderPairs = [];
  #body: ReadableStreamDefaultController<Uint8Array> | null = null;
  #over = false;
  #started = false;
  /** The free space in the body's queue at the last call of `readerMoved`. */
  #roomSeen: number | null = null;
  #onDrain: (() => void) | null = null;
  #charge: ByteCharge | null = null;
  #charged = 0;
  #bodyError: Error | null = null;
  #bodyReader: ReadableStreamDefaultReader<Uint8Array> | null = null;

  constructor(request: Request, resolve: (response: Response) => void, reject: (error: unknown) => void) {
    const { pathname, search } = new URL(request.url);
    this.method = request.method;
    this.target = pathname + search;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    request.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  headersLike(prefix: string): readonly string[] {
    return [...this.#request.headers.keys()].filter((name) => name.startsWith(prefix));
  }

  hasHeaderLike(prefix: string): boolean {
    return [...this.#request.headers.keys()].some((name) => name.startsWith(prefix));
  }

  async readBody(gate: BodyGate): Promise<ReceivedBody> {
    const reader = this.#request.body?.getReader();
    if (reader === undefined) return new Uint8Array(0);
    this.#bodyReader = reader;
    const pieces = new ChunkList();
    try {
      for (let read = await this.#readPiece(reader); !read.done; read = await this.#readPiece(reader)) {
        gate.accept(read.value.length);
        pieces.add(read.value);
      }
    } catch (error) {
      reader.cancel(error).catch(() => {});
      throw error;
    }
    if (this.#bodyError !== null) throw this.#bodyError;
    if (this.#over) throw new CallerLeft();
    const { bytes } = pieces;
    return joinSmall(pieces.take(), bytes);
  }

  /** An error of the caller's own stream ends its call as if it had disconnected. */
  async #readPiece(reader: ReadableStreamDefaultReader<Uint8Array>): ReturnType<typeof reader.read> {
    try {
      return await reader.read();
    } catch (error) {
      this.#callerLeft(error);
      throw new CallerLeft();
    }
  }

  async *bodyPieces(): AsyncGenerator<Uint8Array> {
    const reader = this.#request.body?.getReader();
    if (reader === undefined) return;
    this.#bodyReader = reader;
    try {
      for (let read = await this.#readPiece(reader); !read.done; read = await this.#readPiece(reader)) yield read.value;
    } finally {
      reader.cancel().catch(() => {});
    }
    if (this.#bodyError !== null) throw this.#bodyError;
    if (this.#over) throw new CallerLeft();
  }

  stopBody(error: Error): void {
    this.#bodyError = error;
    this.#bodyReader?.cancel(error).catch(() => {});
  }

  head(status: number, headers: HeaderPairs): void {
    this.#status = status;
    this.#headers = this.#added === null ? headers : [...headers, ...this.#added];
  }

  addHeaders(headers: HeaderPairs): void {
    this.#added = headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (!this.#started) this.#startStream();
    this.#body?.enqueue(bytes);
    const room = this.#body?.desiredSize ?? 1;
    this.#chargeUnread(room > 0 ? 0 : waitingBytesMax - room);
    return room > 0;
  }

  chargeTo(charge: ByteCharge): void {
    this.#charge = charge;
  }

  /** Counts unread bytes during back-pressure. A response that is not streamed belongs to the reader at once. */
  #chargeUnread(bytes: number): void {
    if (bytes > this.#charged) this.#charge?.hold(bytes - this.#charged);
    else if (bytes < this.#charged) this.#charge?.release(this.#charged - bytes);
    this.#charged = this.#charge === null ? 0 : bytes;
  }

  onDrain(listener: () => void): void {
    if (this.#over || (this.#body?.desiredSize ?? 1) > 0) queueMicrotask(listener);
    else this.#onDrain = listener;
  }

  readerMoved(): boolean {
    const room = this.#body?.desiredSize ?? 0;
    const moved = room !== this.#roomSeen;
    this.#roomSeen = room;
    return moved;
  }

  end(bytes?: Uint8Array): void {
    if (this.#over) return;
    if (this.#started) {
      if (bytes !== undefined && bytes.length > 0) this.#body?.enqueue(bytes);
      this.#body?.close();
    } else {
      const body = bytes === undefined || this.#hasNoBody() ? null : (bytes as Uint8Array<ArrayBuffer>);
      this.#respond(body);
    }
    this.#finish();
  }

  abort(): void {
    if (this.#over) return;
    const error = new TypeError('terminated', { cause: new Error('the response was aborted') });
    if (this.#started) this.#body?.error(error);
    else this.#reject(error);
    this.#finish();
  }

  #startStream(): void {
    if (this.#hasNoBody()) return this.#respond(null);
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => void (this.#body = controller as ReadableStreamDefaultController<Uint8Array>),
        pull: () => this.#pulled(),
        cancel: (reason) => this.#callerLeft(reason),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: waitingBytesMax }),
    );
    this.#respond(body);
  }

  #respond(body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer> | null): void {
    const headers = new Headers();
    for (let i = 0; i + 1 < this.#headers.length; i += 2) headers.append(this.#headers[i]!, this.#headers[i + 1]!);
    this.#resolve(new Response(body, { status: this.#status, headers }));
    this.#started = true;
  }

  #hasNoBody(): boolean {
    return this.method === 'HEAD' || bodiless.has(this.#status);
  }

  #callerLeft(reason: unknown): void {
    if (this.#over) return;
    if (!this.#started) this.#reject(reason);
    else if (this.#request.signal.aborted) this.#body?.error(reason);
    this.#finish();
    this.#bodyReader?.cancel(reason).catch(() => {});
    this.hasLeft = true;
    const { onLeave } = this;
    this.onLeave = null;
    onLeave?.();
  }

  #finish(): void {
    this.#over = true;
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    this.#chargeUnread(0);
    this.#wakeWriter();
  }

  #pulled(): void {
    this.#chargeUnread(0);
    this.#wakeWriter();
  }

  #wakeWriter(): void {
    const listener = this.#onDrain;
    this.#onDrain = null;
    listener?.();
  }
}
