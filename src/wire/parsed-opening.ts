import type { OpeningReader } from './dialect.ts';
import type { StreamParser } from './model.ts';

/** Follows the beginning of a stream's first choice by its model events. */
export class ParsedOpening implements OpeningReader {
  readonly #parser: StreamParser;
  #isText = false;
  text = '';
  refuses = false;
  holdsOther = false;

  constructor(parser: StreamParser) {
    this.#parser = parser;
  }

  read(pieces: readonly Uint8Array[]): void {
    for (const event of this.#parser.parse(pieces)) {
      if ('choice' in event && event.choice !== 0) continue;
      if (event.type === 'part_start') {
        const { type } = event.head;
        if (type === 'refusal') this.refuses = true;
        else if (type !== 'text' && type !== 'reasoning') this.holdsOther = true;
        this.#isText = type === 'text';
      } else if (event.type === 'delta' && this.#isText) this.text += event.text;
    }
  }
}
