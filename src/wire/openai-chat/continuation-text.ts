import { ChatEventReader, contentOf, headOf } from './continuation-chunk.ts';
import type { ChatEvent, ChunkHead } from './continuation-chunk.ts';

/** A longer answer is not continued, in characters: it has to be kept, read again and sent along. */
export const CONTINUABLE_CHARS_MAX = 256 * 1024;

/** Follows the events that went to a caller, so that the answer can be continued should it break off. */
export class DeliveredText {
  readonly #reader = new ChatEventReader();
  #text = '';
  #isPlain = true;
  #finished = false;
  /** Events with content, thoughts included: each holds at least one token. */
  contentEvents = 0;
  /** Null: no chunk has gone out. */
  head: ChunkHead | null = null;

  /** The text that has gone out; empty where it can't be continued. */
  get text(): string {
    return this.#isPlain && !this.#finished ? this.#text : '';
  }

  read(pieces: readonly Uint8Array[]): void {
    if (!this.#isPlain) return;
    for (const event of this.#reader.read(pieces)) this.add(event);
  }

  /** `dropped`: characters at the beginning of its text that did not go out. */
  add(event: ChatEvent, dropped = 0): void {
    if (event === 'terminator') return void (this.#finished = true);
    this.head ??= headOf(event.chunk);
    const { text, beside, finishReason } = contentOf(event.chunk);
    if (finishReason !== null) this.#finished = true;
    if (text !== '' || beside !== 'none') this.contentEvents++;
    this.#text += text.slice(dropped);
    if (beside === 'none' || beside === 'reasoning') {
      if (this.#text.length <= CONTINUABLE_CHARS_MAX) return;
    }
    this.#isPlain = false;
    this.#text = '';
  }
}
