/** Parses server-sent events from chunks of text (HTML standard, 9.2.6), as far as the feed uses them: no retry, comments are ignored. */

export interface ServerEvent {
  readonly type: string;
  readonly id: string | null;
  readonly data: string;
}

/** Maximum length of an event; a longer one is an error. */
const eventLengthMax = 4_000_000;

export class SseReader {
  #rest = '';

  /** Adds a chunk; returns the events that are now complete. Throws if an event is too long. */
  push(piece: string): ServerEvent[] {
    const blocks = (this.#rest + piece).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    if (this.#rest.length > eventLengthMax) throw new Error('an event of the feed is too long');
    return blocks.map(parse).filter((event) => event !== null);
  }
}

function parse(block: string): ServerEvent | null {
  let type = 'message';
  let id: string | null = null;
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (line.startsWith('event:')) type = value;
    else if (line.startsWith('id:')) id = value;
    else if (line.startsWith('data:')) data.push(value);
  }
  return data.length === 0 ? null : { type, id, data: data.join('\n') };
}
