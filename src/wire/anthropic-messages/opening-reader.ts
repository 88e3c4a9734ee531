import type { OpeningReader } from '../dialect.ts';
import { createMessagesStreamParser } from './parse-stream.ts';

/** How a message begins. */
export class MessageOpening implements OpeningReader {
  readonly #parser = createMessagesStreamParser();
  text = '';
  refuses = false;
  holdsOther = false;

  read(pieces: readonly Uint8Array[]): void {
    for (const event of this.#parser.parse(pieces)) {
      if (event.type === 'part_start') {
        const { type } = event.head;
        if (type === 'refusal') this.refuses = true;
        else if (type !== 'text' && type !== 'reasoning') this.holdsOther = true;
        this.#isText = type === 'text';
      } else if (event.type === 'delta' && this.#isText) this.text += event.text;
    }
  }

  #isText = false;
}
