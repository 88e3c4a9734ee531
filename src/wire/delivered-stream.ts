/** A stream as its caller has it so far, and the writer that continues it. */
import { CODECS } from './codecs.ts';
import type { DialectName, ModelEvent, StreamParser, StreamWriter, WriteOptions } from './model.ts';

/** A longer text is not continued, in characters: it is kept, read again and sent. */
export const CONTINUABLE_CHARS_MAX = 256 * 1024;

/** Characters of text and reasoning that are kept; a stream with more is not continued. */
const DELTA_CHARS_MAX = 1024 * 1024;

/** The events delivered, with the deltas of a part joined. Only text and reasoning of one choice can be continued. */
export class DeliveredStream {
  readonly #dialect: DialectName;
  readonly #options: WriteOptions;
  readonly #parser: StreamParser;
  #events: ModelEvent[] = [];
  readonly #textParts = new Set<number>();
  /** The text part that is open; null: none. */
  openPart: number | null = null;
  /** Parts begun. */
  parts = 0;
  #text = '';
  /** Of all deltas. */
  #chars = 0;
  #usage: ModelEvent | null = null;
  #isContinuable = true;
  /** Deltas, reasoning included: each holds at least one token. */
  deltas = 0;

  /** `options`: for the continuation, where the stream itself does not say. */
  constructor(dialect: DialectName, options: WriteOptions) {
    this.#dialect = dialect;
    this.#options = options;
    this.#parser = CODECS[dialect].createParser();
  }

  /** Empty where it can't be continued. */
  get text(): string {
    return this.#isContinuable ? this.#text : '';
  }

  read(chunks: readonly Uint8Array[]): void {
    if (this.#isContinuable) for (const event of this.#parser.parse(chunks)) this.add(event);
  }

  add(event: ModelEvent): void {
    if (!this.#isContinuable) return;
    if (event.type === 'part_start') this.#begin(event.part, event.head.type);
    else if (event.type === 'part_end' && event.part === this.openPart) this.openPart = null;
    else if (event.type === 'delta') {
      this.deltas++;
      this.#chars += event.text.length;
      if (this.#textParts.has(event.part)) this.#text += event.text;
    }
    const isOther = ('choice' in event && event.choice !== 0) || event.type === 'finish' || event.type === 'end';
    if (isOther || this.#text.length > CONTINUABLE_CHARS_MAX || this.#chars > DELTA_CHARS_MAX) this.#giveUp();
    else if (event.type === 'usage') this.#usage = event;
    else this.#keep(event);
  }

  /** A writer that has written the stream so far. */
  resume(): StreamWriter {
    const started = this.#events.find(({ type }) => type === 'start');
    const createdAt = (started?.type === 'start' ? started.createdAt : null) ?? this.#options.createdAt;
    const writer = CODECS[this.#dialect].createWriter({ ...this.#options, createdAt });
    for (const event of this.#events) writer.write(event);
    if (this.#usage !== null) writer.write(this.#usage);
    return writer;
  }

  #begin(part: number, type: string): void {
    this.parts = Math.max(this.parts, part + 1);
    if (type === 'text') {
      this.#textParts.add(part);
      this.openPart = part;
    } else if (type !== 'reasoning') this.#giveUp();
  }

  #keep(event: ModelEvent): void {
    const before = this.#events.at(-1);
    if (event.type === 'delta' && before?.type === 'delta' && before.part === event.part) {
      this.#events[this.#events.length - 1] = { ...event, text: before.text + event.text };
    } else this.#events.push(event);
  }

  #giveUp(): void {
    this.#isContinuable = false;
    this.#events = [];
    this.#text = '';
  }
}
