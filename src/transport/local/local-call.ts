import type { UpstreamCall, UpstreamListener } from '../transport.ts';
import type { ThreadError } from '../../local/messages.ts';
import { errorBody } from '../../local/response-writer.ts';

/** The engine failed after its response had begun. */
class EngineResponseBroken extends Error {
  override readonly name = 'EngineResponseBroken';
}

const NONE = new Uint8Array();

/**
 * One call to a local model, from the listener's side. While the caller has paused it, events are buffered here: at most one
 * response, which its output limit keeps small.
 */
export class LocalCall implements UpstreamCall {
  readonly id: number;
  readonly path: string;
  readonly #body: Uint8Array | null;
  readonly #listener: UpstreamListener;
  readonly #onAbort: (call: LocalCall) => void;
  #held: (() => void)[] = [];
  #paused = false;
  #hasHead = false;
  isOver = false;

  constructor(id: number, path: string, body: Uint8Array | null, listener: UpstreamListener, onAbort: (call: LocalCall) => void) {
    this.id = id;
    this.path = path;
    this.#body = body;
    this.#listener = listener;
    this.#onAbort = onAbort;
  }

  /** A copy, since the thread takes ownership: the original may be sent to another target later. */
  takeBody(): Uint8Array {
    return Uint8Array.from(this.#body ?? NONE);
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#held = [];
    this.#onAbort(this);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused && this.#held.length > 0) this.#held.shift()!();
  }

  head(status: number, contentType: string): void {
    this.#hasHead = true;
    this.#deliver(() => this.#listener.onHeaders(status, { 'content-type': contentType }));
  }

  data(bytes: Uint8Array): void {
    this.#deliver(() => this.#listener.onData(bytes));
  }

  end(): void {
    this.#deliver(() => {
      this.isOver = true;
      this.#listener.onEnd();
    });
  }

  /** Ends the response with a connection error. */
  break(message: string): void {
    this.#deliver(() => {
      this.isOver = true;
      this.#listener.onError(new EngineResponseBroken(message));
    });
  }

  /** Fails the call: with an error response if no head was sent, else with a connection error. `retryAfterMs`: null: unknown. */
  fail(error: ThreadError, retryAfterMs: number | null): void {
    if (this.#hasHead) return this.break(error.message);
    const { status, code, message } = error;
    const wait = retryAfterMs === null ? {} : { 'retry-after-ms': String(retryAfterMs) };
    this.#deliver(() => this.#listener.onHeaders(status, { 'content-type': 'application/json', ...wait }));
    this.data(errorBody(status, { code, message }));
    this.end();
  }

  #deliver(event: () => void): void {
    if (this.#paused || this.#held.length > 0) this.#held.push(() => void (this.isOver || event()));
    else if (!this.isOver) event();
  }
}
