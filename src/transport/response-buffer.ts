import type { Instant } from '../core/clock.ts';
import type { ByteBudget } from '../core/held-bytes.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../wire/json-outline.ts';
import type { StreamPush } from '../wire/dialect.ts';
import type { StreamHold } from './expected-form.ts';

/** Plain answers, and streams that are to be judged, are held whole up to this; larger ones are passed on as they come, in bytes. */
const HELD_MAX = 16 * 1024 * 1024;

/** And up to this where memory is full already, in bytes: most answers are smaller. */
const HELD_MAX_WHEN_FULL = 1024 * 1024;

/** What has come of an answer and nobody has taken yet. */
export class ResponseBuffer {
  readonly #held: ByteBudget;
  #pieces: Uint8Array[] = [];
  bytes = 0;
  /** Of a large JSON text; null: it is not large so far. */
  outline: JsonOutline | null = null;
  /** Decides how long a stream is held beyond its first content; null: not at all. */
  hold: StreamHold | null = null;
  /** When the first content of a stream came; null: it has not. */
  since: Instant | null = null;

  constructor(held: ByteBudget) {
    this.#held = held;
  }

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#count(piece.byteLength);
  }

  /** Of one JSON text: a large one is read as it comes, and not parsed whole at its end. */
  addText(chunk: Uint8Array): void {
    this.add(chunk);
    if (this.bytes <= OUTLINED_BYTES_MIN) return;
    if (this.outline !== null) return this.outline.push(chunk);
    this.outline = new JsonOutline();
    for (const piece of this.#pieces) this.outline.push(piece);
  }

  get isTooLarge(): boolean {
    return this.bytes > HELD_MAX;
  }

  /** No more of it should be held. */
  get isFull(): boolean {
    return this.isTooLarge || (this.bytes > HELD_MAX_WHEN_FULL && this.#held.isFull);
  }

  /** True: there is content, and it may go on. `at`: when the last content came. */
  canRelease({ pieces, hasContent }: StreamPush, at: Instant): boolean {
    const holds = this.hold !== null && this.hold.holds(pieces);
    if (hasContent) this.since ??= at;
    return this.since !== null && (!holds || this.isFull);
  }

  /** Everything, which is held no longer. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    this.outline = null;
    this.#pieces = [];
    this.#count(-this.bytes);
    return pieces;
  }

  /** Everything in one piece; it stays held. */
  peek(): Uint8Array {
    if (this.#pieces.length !== 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0]!;
  }

  /** Holds this in place of what it held. */
  replace(bytes: Uint8Array): void {
    if (bytes !== this.#pieces[0]) this.outline = null;
    this.#pieces = [bytes];
    this.#count(bytes.byteLength - this.bytes);
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    if (bytes > 0) this.#held.hold(bytes);
    else if (bytes < 0) this.#held.release(-bytes);
  }
}
