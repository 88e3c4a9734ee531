import { isRecord } from '../json-values.ts';
import { ChatEventReader } from './continuation-chunk.ts';
import { holdsToolCall } from './content.ts';

const EVENT_BYTES_MAX = 256 * 1024;

/** Follows how the first choice of a stream begins, chat or completion, in pieces that have passed a stream reader. */
export class OpeningReader {
  readonly #events = new ChatEventReader();
  /** What it has said so far, without thoughts. */
  text = '';
  /** It has said something in the protocol's own field for refusals. */
  refuses = false;
  /** It calls a tool, or holds something that is no text. */
  holdsOther = false;

  read(pieces: readonly Uint8Array[]): void {
    // An opening in words is short: an event of this size holds something else.
    if (pieces.some(({ byteLength }) => byteLength > EVENT_BYTES_MAX)) {
      this.holdsOther = true;
      return;
    }
    for (const event of this.#events.read(pieces)) {
      if (event === 'terminator') continue;
      const { choices } = event.chunk;
      const choice: unknown = Array.isArray(choices) ? choices[0] : null;
      if (isRecord(choice) && (choice['index'] ?? 0) === 0) this.#readChoice(choice);
    }
  }

  #readChoice(choice: Record<string, unknown>): void {
    if (typeof choice['text'] === 'string') this.text += choice['text'];
    const delta = choice['delta'] ?? choice['message'];
    if (!isRecord(delta)) return;
    const { content, refusal } = delta;
    if (typeof content === 'string') this.text += content;
    if (typeof refusal === 'string' && refusal !== '') this.refuses = true;
    if (holdsToolCall(delta) || isRecord(delta['audio']) || Array.isArray(content)) this.holdsOther = true;
  }
}
