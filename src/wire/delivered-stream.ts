/** The part of a stream that has been delivered to the caller, and the writer that continues it. */
import { CODECS } from './codecs.ts';
import type { DialectName, ModelEvent, StreamParser, StreamWriter, WriteOptions } from './model.ts';

/** In characters. A longer text is not continued: it would be stored, parsed again and sent. */
export const CONTINUABLE_CHARS_MAX = 256 * 1024;

/** Characters of text and reasoning that are stored; a stream with more is not continued. */
const DELTA_CHARS_MAX = 1024 * 1024;

/** The delivered events, with the deltas of a part joined. Only text and reasoning of a single choice can be continued. */
export class DeliveredStream {
  readonly #dialect: DialectName;
  readonly #options: WriteOptions;
  readonly #parser: StreamParser;
  #events: ModelEvent[] = [];
  readonly #textParts = new Set<number>();
  /** The open text part; null: none. */
  openPart: number | null = null;
  /** Number of parts started. */
  parts = 0;
  #text = '';
  /** Characters in all deltas. */
  #chars = 0;
  #usage: ModelEvent | null = null;
  #isContinuable = true;
  /** Number of deltas, including reasoning: each holds at least one token. */
  deltas = 0;

  /** `options`: used by the continuation for what the stream itself does not state. */
  constructor(dialect: DialectName, options: WriteOptions) {
    this.#dialect = dialect;
    this.#options = options;
    this.#parser = CODECS[dialect].createParser();
  }

  /** Empty if the stream can't be continued. */
  get text(): string {
    return this.#isContinuable && this.#parser.holdsEvents !== true ? this.#text : '';
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
    else this.#store(event);
  }

  /** A writer in the state after writing the delivered events. */
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

  #store(event: ModelEvent): void {
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
