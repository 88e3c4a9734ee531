import type { UpstreamCall, UpstreamListener } from '../transport.ts';
import type { ThreadError } from '../../local/messages.ts';

/** The thread broke off what it had begun. */
class EngineBroke extends Error {
  override readonly name = 'EngineBroke';
}

const NONE = new Uint8Array();

/**
 * One call to a local model, as its listener sees it. What comes while the caller is behind is held here: no more than
 * one answer, which the bound on its tokens keeps small.
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

  /** A copy: the original may have to be sent elsewhere too. */
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
    this.#tell(() => this.#listener.onHeaders(status, { 'content-type': contentType }));
  }

  data(bytes: Uint8Array): void {
    this.#tell(() => this.#listener.onData(bytes));
  }

  end(): void {
    this.#tell(() => {
      this.isOver = true;
      this.#listener.onEnd();
    });
  }

  /** The answer can't go on. */
  break(message: string): void {
    this.#tell(() => {
      this.isOver = true;
      this.#listener.onError(new EngineBroke(message));
    });
  }

  /** It failed: as an error answer where none had begun. `retryAfterMs`: when to ask again; null: unknown. */
  fail(error: ThreadError, retryAfterMs: number | null): void {
    if (this.#hasHead) return this.break(error.message);
    const { status, code, message } = error;
    const wait = retryAfterMs === null ? {} : { 'retry-after-ms': String(retryAfterMs) };
    const type = status < 500 ? 'invalid_request_error' : 'server_error';
    const body = Buffer.from(JSON.stringify({ error: { message, type, param: null, code } }));
    this.#tell(() => this.#listener.onHeaders(status, { 'content-type': 'application/json', ...wait }));
    this.data(body);
    this.end();
  }

  #tell(tell: () => void): void {
    if (this.#paused || this.#held.length > 0) this.#held.push(() => void (this.isOver || tell()));
    else if (!this.isOver) tell();
  }
}
