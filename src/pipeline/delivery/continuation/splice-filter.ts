import type { LanguageScores } from '../../../policy/continuation/language.ts';
import { decideSplice, HELD_CHARS } from '../../../policy/continuation/splice.ts';
import type { SpliceRefusal } from '../../../policy/continuation/splice.ts';
import { ChatEventReader, contentOf, encodeChunk } from '../../../wire/openai-chat/continuation-chunk.ts';
import type { ChatEvent } from '../../../wire/openai-chat/continuation-chunk.ts';
import type { DeliveredText } from '../../../wire/openai-chat/continuation-text.ts';
import { TERMINATOR } from '../../../wire/openai-chat/terminator.ts';

/** Every check at a text reads all that was listed: until the next one it has to grow by this, in characters. */
const CHECK_INTERVAL_CHARS = 120;
/** As much may come before it is known whether it goes on, in bytes: thoughts, and events without words. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;

/** What lies between an answer and its caller where it may have to be continued. */
export interface StreamFilter {
  /** Why nothing more may pass; null: it may. */
  readonly refused: SpliceRefusal | null;
  /** What of these chunks goes down now. */
  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[];
}

/** Of the first answer everything passes, and is remembered. */
export class RecordingFilter implements StreamFilter {
  readonly refused = null;
  readonly #delivered: DeliveredText;

  constructor(delivered: DeliveredText) {
    this.#delivered = delivered;
  }

  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    this.#delivered.read(chunks);
    return chunks;
  }
}

/** Of an answer that should continue another, nothing passes until it is known to do so. */
export class SpliceFilter implements StreamFilter {
  readonly #delivered: DeliveredText;
  readonly #scores: LanguageScores;
  readonly #onJoin: () => Uint8Array;
  readonly #reader = new ChatEventReader();
  #held: ChatEvent[] = [];
  #heldBytes = 0;
  #next = '';
  /** Length of the text from which on it is looked at. */
  #checkAt = HELD_CHARS;
  /** Characters at the beginning that do not go down. */
  #drop = 0;
  #joined = false;
  refused: SpliceRefusal | null = null;

  /** `onJoin` is listed that the text begins to go down, and gives what stands before it. */
  constructor(delivered: DeliveredText, scores: LanguageScores, onJoin: () => Uint8Array) {
    this.#delivered = delivered;
    this.#scores = scores;
    this.#onJoin = onJoin;
  }

  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    const out: Uint8Array[] = [];
    if (!this.#joined) for (const chunk of chunks) this.#heldBytes += chunk.byteLength;
    for (const event of this.#reader.read(chunks)) {
      if (this.refused !== null) return [];
      if (this.#joined) out.push(this.#encode(event, 0));
      else if (this.#hold(event)) out.push(...this.#release());
    }
    if (!this.#joined && this.#heldBytes > HELD_BYTES_MAX) this.#refuse('nothing');
    return out;
  }

  /** Keeps an event until the decision; true: it is made, and what is held may go. */
  #hold(event: ChatEvent): boolean {
    let isAll = event === 'terminator';
    if (event !== 'terminator') {
      const { text, beside, finishReason, isBare } = contentOf(event.chunk);
      // Thoughts belong to the attempt: the caller has those that led to the text before.
      if (beside === 'reasoning') return false;
      if (beside !== 'none') return this.#refuse('other_content');
      isAll = finishReason !== null;
      if (text === '' && !isAll && !isBare) return false;
      this.#next += text;
    }
    this.#held.push(event);
    if (this.#next.length < this.#checkAt && !isAll) return false;
    this.#checkAt = this.#next.length + CHECK_INTERVAL_CHARS;
    const decision = decideSplice(this.#delivered.text, this.#next, isAll, this.#scores);
    if (decision.kind === 'wait') return false;
    if (decision.kind === 'refuse') return this.#refuse(decision.why);
    this.#drop = decision.drop;
    return true;
  }

  #refuse(why: SpliceRefusal): false {
    this.refused = why;
    this.#held = [];
    return false;
  }

  #release(): Uint8Array[] {
    this.#joined = true;
    const out = [this.#onJoin()];
    for (const event of this.#held) {
      const length = event === 'terminator' ? 0 : contentOf(event.chunk).text.length;
      const dropped = Math.min(this.#drop, length);
      this.#drop -= dropped;
      if (dropped === 0 || dropped < length) out.push(this.#encode(event, dropped));
    }
    this.#held = [];
    return out;
  }

  #encode(event: ChatEvent, dropped: number): Uint8Array {
    if (event === 'terminator') {
      this.#delivered.add(event);
      return TERMINATOR;
    }
    const bytes = encodeChunk(event.chunk, this.#delivered.head!, dropped);
    this.#delivered.add(event, dropped);
    return bytes;
  }
}
