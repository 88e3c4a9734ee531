/** Keeps the feed open: reads it with fetch, since an EventSource cannot send the admin key, and resumes after a disconnect. */
import { ApiError, ask, hasAdminKey, setAdminKey } from './api.ts';
import type { Frame } from './frames.ts';
import { SseReader } from './sse.ts';

/** The gateway sends a frame per second; without one for this long the connection is closed. */
const silentMaxMs = 6_000;
const retryMinMs = 500;
const retryMaxMs = 5_000;

export type Link =
  | { readonly phase: 'connecting' }
  | { readonly phase: 'live' }
  /** `since`: time of the last frame, in milliseconds since the epoch. */
  | { readonly phase: 'lost'; readonly since: number; readonly message: string }
  /** The admin key is required; `message`: why the last one was rejected. */
  | { readonly phase: 'key'; readonly message: string | null }
  | { readonly phase: 'refused'; readonly message: string };

export interface ConnectionOptions {
  readonly onFrame: (frame: Frame) => void;
  readonly onLink: (link: Link) => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  #lastEventId: string | null = null;
  #lastFrameAt = Date.now();
  #retryMs = retryMinMs;
  #attempt: AbortController | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    setInterval(() => this.#watch(), 1_000);
  }

  /** Connects, with the admin key if one was entered. */
  open(key?: string): void {
    if (key !== undefined) setAdminKey(key);
    this.#attempt?.abort();
    this.#attempt = new AbortController();
    void this.#run(this.#attempt);
  }

  #watch(): void {
    if (this.#attempt !== null && Date.now() - this.#lastFrameAt > silentMaxMs) this.#attempt.abort(new Error('no data from the gateway'));
  }

  async #run(attempt: AbortController): Promise<void> {
    this.#lastFrameAt = Date.now();
    try {
      await this.#read(attempt.signal);
      this.#again(attempt, 'the gateway closed the connection');
    } catch (error) {
      if (error instanceof ApiError && this.#isFinal(error)) return;
      this.#again(attempt, error instanceof Error ? error.message : String(error));
    }
  }

  /** Errors that a retry cannot resolve. */
  #isFinal({ status, message }: ApiError): boolean {
    if (status === 401) {
      const refused = hasAdminKey() ? message : null;
      setAdminKey(null);
      this.#attempt = null;
      this.#options.onLink({ phase: 'key', message: refused });
      return true;
    }
    if (status !== 403 && status !== 404) return false;
    this.#attempt = null;
    this.#options.onLink({ phase: 'refused', message });
    return true;
  }

  #again(attempt: AbortController, message: string): void {
    if (this.#attempt !== attempt) return;
    this.#options.onLink({ phase: 'lost', since: this.#lastFrameAt, message });
    setTimeout(() => this.#attempt === attempt && this.open(), this.#retryMs);
    this.#lastFrameAt = Date.now() + this.#retryMs;
    this.#retryMs = Math.min(retryMaxMs, this.#retryMs * 2);
  }

  async #read(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = this.#lastEventId === null ? {} : { 'last-event-id': this.#lastEventId };
    const response = await ask('/admin/events', { headers, signal });
    const reader = new SseReader();
    const decoder = new TextDecoder();
    for await (const bytes of chunksOf(response.body!)) {
      this.#lastFrameAt = Date.now();
      for (const { type, id, data } of reader.push(decoder.decode(bytes, { stream: true }))) {
        if (type !== 'hello' && type !== 'tick') continue;
        this.#options.onFrame({ type, data: JSON.parse(data) });
        this.#lastEventId = id;
        this.#retryMs = retryMinMs;
        this.#options.onLink({ phase: 'live' });
      }
    }
  }
}

/** WebKit's streams are not iterable. The stream is cancelled if the loop ends early. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Rejects if the stream has failed, which `read` has reported.
    reader.cancel().catch(() => {});
  }
}
