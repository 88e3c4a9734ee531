import { decideSplice, HELD_CHARS } from '../../../policy/continuation/splice.ts';
import type { SpliceRefusal } from '../../../policy/continuation/splice.ts';
import { CODECS } from '../../../wire/codecs.ts';
import type { DeliveredStream } from '../../../wire/delivered-stream.ts';
import type { DialectName, ModelEvent, StreamParser, StreamWriter } from '../../../wire/model.ts';

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
  /** The response is complete: the last chunks. */
  end(): readonly Uint8Array[];
}

/** Passes and records all chunks of the first response. */
export class RecordingFilter implements StreamFilter {
  readonly refused = null;
  readonly #delivered: DeliveredStream;

  constructor(delivered: DeliveredStream) {
    this.#delivered = delivered;
  }

  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    this.#delivered.read(chunks);
    return chunks;
  }

  end(): readonly Uint8Array[] {
    return [];
  }
}

/** Holds back a continuation until it is recognised as one, then writes it as the rest of the stream delivered. */
export class SpliceFilter implements StreamFilter {
  readonly #delivered: DeliveredStream;
  readonly #parser: StreamParser;
  readonly #onJoin: () => Uint8Array;
  /** Null until it is recognised. */
  #writer: StreamWriter | null = null;
  #held: ModelEvent[] = [];
  #heldBytes = 0;
  #text = '';
  /** Length of the text at the next check. */
  #checkAt = HELD_CHARS;
  /** Characters at the beginning that are not delivered. */
  #drop = 0;
  /** Parts of the continuation by their number in the stream delivered; null: dropped. */
  readonly #parts = new Map<number, number | null>();
  refused: SpliceRefusal | null = null;

  /** `onJoin` is called when delivery begins, and returns the bytes to precede it. */
  constructor(delivered: DeliveredStream, dialect: DialectName, onJoin: () => Uint8Array) {
    this.#delivered = delivered;
    this.#parser = CODECS[dialect].createParser();
    this.#onJoin = onJoin;
  }

  pass(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    if (this.#writer === null) for (const chunk of chunks) this.#heldBytes += chunk.byteLength;
    const passed = this.#filter(this.#parser.parse(chunks));
    if (this.#writer === null && this.#heldBytes > HELD_BYTES_MAX) this.#refuse('nothing');
    return passed;
  }

  end(): readonly Uint8Array[] {
    return this.#filter(this.#parser.end());
  }

  #filter(events: readonly ModelEvent[]): readonly Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const event of events) {
      if (this.refused !== null) return [];
      const placed = this.#place(event);
      if (placed === null) continue;
      if (this.#writer !== null) out.push(...this.#write(placed));
      else if (this.#hold(placed)) out.push(...this.#release());
    }
    return out;
  }

  /** The event as a part of the stream delivered; null: it has no place there. Reasoning is dropped: it led to another text. */
  #place(event: ModelEvent): ModelEvent | null {
    if (event.type === 'start') return null;
    if (!('part' in event)) return event;
    if (event.type !== 'part_start') {
      const part = this.#parts.get(event.part) ?? null;
      return part === null ? null : { ...event, part };
    }
    const { type } = event.head;
    if (type === 'reasoning' || (type === 'foreign' && this.#writer !== null)) return null;
    if (type !== 'text' && this.#writer === null) {
      this.#refuse('other_content');
      return null;
    }
    const { openPart } = this.#delivered;
    const isFirst = type === 'text' && openPart !== null && this.#parts.size === 0;
    const part = isFirst ? openPart : this.#delivered.parts + this.#parts.size;
    this.#parts.set(event.part, part);
    return isFirst ? null : { ...event, part };
  }

  /** Holds an event until the decision; true: the held events may be released. */
  #hold(event: ModelEvent): boolean {
    const isAll = event.type === 'finish' || event.type === 'end';
    if (event.type === 'delta') this.#text += event.text;
    this.#held.push(event);
    if (this.#text.length < this.#checkAt && !isAll) return false;
    this.#checkAt = this.#text.length + CHECK_INTERVAL_CHARS;
    const decision = decideSplice(this.#delivered.text, this.#text, isAll);
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
    this.#writer = this.#delivered.resume();
    const out = [this.#onJoin()];
    for (const event of this.#held) {
      if (event.type !== 'delta' || this.#drop === 0) out.push(...this.#write(event));
      else {
        const text = event.text.slice(this.#drop);
        this.#drop -= event.text.length - text.length;
        if (text !== '') out.push(...this.#write({ ...event, text }));
      }
    }
    this.#held = [];
    return out;
  }

  #write(event: ModelEvent): Uint8Array[] {
    this.#delivered.add(event);
    const text = this.#writer!.write(event);
    return text === '' ? [] : [Buffer.from(text)];
  }
}
