import { isRecord } from '../../core/json.ts';
import { isCutArguments } from '../cut-arguments.ts';
import type { Fields } from '../loose-values.ts';
import { argumentsObject } from '../tool-arguments.ts';

/** Folds the events of one stream into a message. */
export class MessageFold {
  #message: Fields = {};
  readonly #blocks: BlockFold[] = [];
  /** The last block with each index: some servers use an index again. */
  readonly #byIndex = new Map<number, BlockFold>();
  readonly #usage: Fields = {};

  add(event: Fields): void {
    const index = typeof event['index'] === 'number' ? event['index'] : 0;
    switch (event['type']) {
      case 'message_start':
        if (isRecord(event['message'])) this.#message = { ...event['message'] };
        this.#addUsage(this.#message['usage']);
        break;
      case 'content_block_start':
        if (isRecord(event['content_block'])) this.#begin(index, new BlockFold(event['content_block']));
        break;
      case 'content_block_delta':
        if (isRecord(event['delta'])) this.#byIndex.get(index)?.add(event['delta']);
        break;
      case 'message_delta':
        this.#addEnd(event);
        break;
      default:
    }
  }

  finish(): Fields {
    const content = this.#blocks.flatMap((block) => block.finish() ?? []);
    const stop = { stop_reason: 'end_turn', stop_sequence: null };
    const message = this.#message['stop_reason'] === null ? { ...this.#message, ...stop } : { ...stop, ...this.#message };
    return { ...message, type: 'message', role: 'assistant', content, usage: this.#usage };
  }

  #begin(index: number, block: BlockFold): void {
    this.#blocks.push(block);
    this.#byIndex.set(index, block);
  }

  #addEnd({ type: _type, delta, usage, ...rest }: Fields): void {
    Object.assign(this.#message, rest, isRecord(delta) ? delta : {});
    this.#addUsage(usage);
  }

  /** Counts are cumulative: the last value of each wins. */
  #addUsage(usage: unknown): void {
    if (!isRecord(usage)) return;
    for (const [name, value] of Object.entries(usage)) if (value !== null) this.#usage[name] = value;
  }
}

/** Deltas are collected and joined once at the end; appending each one would copy the text every time. */
class BlockFold {
  readonly #block: Fields;
  readonly #texts = new Map<string, string[]>();
  readonly #citations: unknown[] = [];

  constructor(block: Fields) {
    this.#block = { ...block };
  }

  add({ type, ...members }: Fields): void {
    if (type === 'citations_delta') {
      this.#citations.push(members['citation']);
      return;
    }
    for (const [name, value] of Object.entries(members)) {
      if (typeof value !== 'string') this.#block[name] = value;
      else if (this.#texts.has(name)) this.#texts.get(name)!.push(value);
      else this.#texts.set(name, [value]);
    }
  }

  /** Null for a call whose arguments were cut off at a limit. */
  finish(): Fields | null {
    const { partial_json: json, ...texts } = Object.fromEntries([...this.#texts].map(([name, parts]) => [name, parts.join('')]));
    const block = this.#block;
    if (json !== undefined && isCutArguments(json)) return null;
    for (const [name, text] of Object.entries(texts)) block[name] = (typeof block[name] === 'string' ? block[name] : '') + text;
    if (json !== undefined && json.trim() !== '') block['input'] = argumentsObject(json);
    if (this.#citations.length > 0)
      block['citations'] = [...(Array.isArray(block['citations']) ? block['citations'] : []), ...this.#citations];
    return block;
  }
}
