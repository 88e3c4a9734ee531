import { valueIn, type HeaderPairs } from '../core/headers.ts';
import type { Caller } from '../pipeline/request/caller.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';

/** Collects the response to one item, and acts as its caller. */
export class ItemSink implements ResponseSink, Caller {
  hasLeft = false;
  onLeave: (() => void) | null = null;
  /** 0 without a complete response. */
  status = 0;
  #headers: HeaderPairs = [];
  #pieces: Uint8Array[] = [];
  #isComplete = false;

  /** The runner abandons the request. */
  leave(): void {
    if (this.hasLeft || this.#isComplete) return;
    this.hasLeft = true;
    this.onLeave?.();
  }

  /** Resolves once everything derived from the response is saved that must be saved before the item is completed. */
  settled(): Promise<void> {
    return Promise.resolve();
  }

  get body(): Uint8Array {
    return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
  }

  /** Null if the header is absent. */
  header(name: string): string | null {
    return valueIn(this.#headers, name);
  }

  head(status: number, headers: HeaderPairs): void {
    this.status = status;
    this.#headers = headers;
  }

  write(bytes: Uint8Array): boolean {
    this.#pieces.push(bytes);
    return true;
  }

  end(bytes?: Uint8Array): void {
    if (bytes !== undefined) this.#pieces.push(bytes);
    this.#isComplete = true;
  }

  /** Replaces the response. */
  protected replace(status: number, body: Uint8Array): void {
    this.status = status;
    this.#pieces = [body];
  }

  abort(): void {
    this.status = 0;
    this.#pieces = [];
  }

  onDrain(_listener: () => void): void {}

  readerMoved(): boolean {
    return true;
  }
}
