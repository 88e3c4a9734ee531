import { isRecord } from '../../core/json.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { holdsToolCall } from './content.ts';

const EVENT_BYTES_MAX = 256 * 1024;

/** Follows the beginning of the first choice of a stream, chat or completion, in bytes that have passed a stream reader. */
export class OpeningReader {
  readonly #framer = new SseFramer(Infinity);
  /** The text so far, without reasoning. */
  text = '';
  /** There is text in the protocol's own field for refusals. */
  refuses = false;
  /** It calls a tool, or has content other than text. */
  holdsOther = false;

  read(pieces: readonly Uint8Array[]): void {
    // The text of an opening is short: an event of this size holds something else.
    if (pieces.some(({ byteLength }) => byteLength > EVENT_BYTES_MAX)) {
      this.holdsOther = true;
      return;
    }
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) this.#readBlock();
    }
  }

  #readBlock(): void {
    const data = this.#framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) return;
    const { choices } = JSON.parse(data) as Record<string, unknown>;
    const choice: unknown = Array.isArray(choices) ? choices[0] : null;
    if (isRecord(choice) && (choice['index'] ?? 0) === 0) this.#readChoice(choice);
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
