import type { Instant } from '../core/clock.ts';
import type { ByteBudget } from '../core/held-bytes.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../wire/json-outline.ts';
import type { StreamPush } from '../wire/dialect.ts';
import type { StreamHold } from './expected-form.ts';

/** Maximum size of a non-streaming response, or a stream to be checked, that is buffered whole, in bytes; larger ones are passed on as they arrive. */
const HELD_MAX = 16 * 1024 * 1024;

/** The same while the memory limit is reached, in bytes; most responses are smaller. */
const HELD_MAX_WHEN_FULL = 1024 * 1024;

/** The received bytes of a response that its owner has not taken. */
export class ResponseBuffer {
  readonly #held: ByteBudget;
  #chunks: Uint8Array[] = [];
  bytes = 0;
  /** The outline of a large JSON body; null: it is not large so far. */
  outline: JsonOutline | null = null;
  /** The outline of a JSON body that is passed on before its end; null: none is. */
  rest: JsonOutline | null = null;
  /** Decides how long a stream is buffered beyond its first content; null: not at all. */
  hold: StreamHold | null = null;
  /** When the first content of a stream arrived; null: not yet. */
  since: Instant | null = null;
  /** The bytes are not those that arrived. */
  isReplaced = false;

  constructor(held: ByteBudget) {
    this.#held = held;
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#count(chunk.byteLength);
  }

  /** Adds a part of a JSON body. A large one is outlined as it arrives instead of parsed at its end. */
  addText(chunk: Uint8Array): void {
    this.add(chunk);
    if (this.bytes <= OUTLINED_BYTES_MIN) return;
    if (this.outline !== null) return this.outline.push(chunk);
    this.outline = new JsonOutline();
    for (const chunk of this.#chunks) this.outline.push(chunk);
  }

  /** A JSON body is passed on before its end: its outline follows to the end. */
  passOn(): void {
    this.rest = this.outline;
  }

  get isTooLarge(): boolean {
    return this.bytes > HELD_MAX;
  }

  /** No more should be buffered. */
  get isFull(): boolean {
    return this.isTooLarge || (this.bytes > HELD_MAX_WHEN_FULL && this.#held.isFull);
  }

  /** True: there is content, and it can be passed on. `at`: when the last content arrived. */
  canRelease({ pieces, hasContent }: StreamPush, at: Instant): boolean {
    const holds = this.hold !== null && this.hold.holds(pieces);
    if (hasContent) this.since ??= at;
    return this.since !== null && (!holds || this.isFull);
  }

  /** Returns and releases everything. */
  take(): Uint8Array[] {
    const chunks = this.#chunks;
    this.outline = null;
    this.#chunks = [];
    this.#count(-this.bytes);
    return chunks;
  }

  /** Everything as one chunk; it stays buffered. */
  peek(): Uint8Array {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  /** Replaces the buffered bytes. */
  replace(bytes: Uint8Array): void {
    if (bytes !== this.#chunks[0]) this.outline = null;
    this.isReplaced = true;
    this.#chunks = [bytes];
    this.#count(bytes.byteLength - this.bytes);
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    if (bytes > 0) this.#held.hold(bytes);
    else if (bytes < 0) this.#held.release(-bytes);
  }
}
