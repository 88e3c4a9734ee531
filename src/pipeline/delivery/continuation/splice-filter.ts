import type { LanguageScores } from '../../../policy/continuation/language.ts';
import { decideSplice, HELD_CHARS } from '../../../policy/continuation/splice.ts';
import type { SpliceRefusal } from '../../../policy/continuation/splice.ts';
import { ChatEventReader, contentOf, encodeChunk } from '../../../wire/openai-chat/continuation-chunk.ts';
import type { ChatEvent } from '../../../wire/openai-chat/continuation-chunk.ts';
import type { DeliveredText } from '../../../wire/openai-chat/continuation-text.ts';
import { TERMINATOR } from '../../../wire/openai-chat/terminator.ts';

/** Every check reads the whole text delivered, so the text has to grow by this many characters between two checks. */
const CHECK_INTERVAL_CHARS = 120;
/** Bytes that may arrive before the decision, including reasoning and events without text. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;

/** Filters the chunks of a response that may have to be continued. */
export interface StreamFilter {
  /** Why nothing more passes; null: chunks pass. */
  readonly refused: SpliceRefusal | null;
  /** The chunks to be delivered now. */
  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[];
}

/** Passes and records all chunks of the first response. */
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

/** Holds back a continuation until it is recognised as one. */
export class SpliceFilter implements StreamFilter {
  readonly #delivered: DeliveredText;
  readonly #scores: LanguageScores;
  readonly #onJoin: () => Uint8Array;
  readonly #reader = new ChatEventReader();
  #held: ChatEvent[] = [];
  #heldBytes = 0;
  #next = '';
  /** Length of the text at the next check. */
  #checkAt = HELD_CHARS;
  /** Characters at the beginning that are not delivered. */
  #drop = 0;
  #joined = false;
  refused: SpliceRefusal | null = null;

  /** `onJoin` is called when delivery begins, and returns the bytes to precede it. */
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

  /** Holds an event until the decision; true: the held events may be released. */
  #hold(event: ChatEvent): boolean {
    let isAll = event === 'terminator';
    if (event !== 'terminator') {
      const { text, beside, finishReason, isBare } = contentOf(event.chunk);
      // Reasoning is dropped: the caller has that which led to the text so far.
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
