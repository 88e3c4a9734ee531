import { Buffer } from 'node:buffer';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const LONG_BLOCK_BYTES = 64 * 1024;
/** Lines read of one long event. Cutting an event makes it invalid JSON, but no provider writes JSON in that many lines. */
const LINES_MAX = 20_000;
const DATA = Buffer.from('data');
const EVENT = Buffer.from('event');

/** The position of a block in its bytes. */
export interface Block {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** The fields of one block of an event stream, parsed on demand. */
export class SseFields {
  /** The `event` field; empty if there is none. */
  eventName = '';
  #bytes: Buffer | null = null;
  /** Alternating start and end of each data line; usually there is one line. */
  readonly #dataLines: number[] = [];

  /** Called when another block becomes current. */
  forget(): void {
    this.#bytes = null;
    this.#dataLines.length = 0;
  }

  /** Parses the block, unless that has been done. */
  of(block: Block): this {
    if (this.#bytes !== null) return this;
    this.#bytes = block.bytes;
    this.eventName = '';
    const { bytes, end } = block;
    let lineStart = block.start;
    if (end - lineStart > LONG_BLOCK_BYTES) return this.#readLongBlock(bytes, lineStart, end);
    for (let pos = lineStart; pos < end; pos++) {
      const byte = bytes[pos];
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) continue;
      if (pos > lineStart) this.#readLine(bytes, lineStart, pos);
      lineStart = pos + 1;
    }
    if (end > lineStart) this.#readLine(bytes, lineStart, end);
    return this;
  }

  /** Its lines are assumed to be long, and searched natively; lines beyond a limit are ignored. */
  #readLongBlock(bytes: Buffer, start: number, end: number): this {
    const block = bytes.subarray(0, end);
    const next = (byte: number, from: number): number => {
      const at = block.indexOf(byte, from);
      return at < 0 ? end : at;
    };
    let lineFeed = next(LINE_FEED, start);
    let carriageReturn = next(CARRIAGE_RETURN, start);
    for (let lineStart = start, lines = 0; lineStart < end && lines < LINES_MAX; lines++) {
      if (lineFeed < lineStart) lineFeed = next(LINE_FEED, lineStart);
      if (carriageReturn < lineStart) carriageReturn = next(CARRIAGE_RETURN, lineStart);
      const lineEnd = Math.min(lineFeed, carriageReturn);
      if (lineEnd > lineStart) this.#readLine(bytes, lineStart, lineEnd);
      lineStart = lineEnd + 1;
    }
    return this;
  }

  /** The data bytes, if there is exactly one data line; else null. */
  get dataLine(): Buffer | null {
    const [start, end] = this.#dataLines;
    return this.#bytes === null || this.#dataLines.length !== 2 ? null : this.#bytes.subarray(start, end);
  }

  /** The data lines joined by LF, or null if there are none. */
  readData(): string | null {
    const lines = this.#dataLines;
    const bytes = this.#bytes;
    if (bytes === null || lines.length === 0) return null;
    if (lines.length === 2) return bytes.toString('utf8', lines[0], lines[1]);
    const texts: string[] = [];
    for (let i = 0; i < lines.length; i += 2) texts.push(bytes.toString('utf8', lines[i], lines[i + 1]));
    return texts.join('\n');
  }

  /** Ignores `id` and `retry`, which are for clients that reconnect, and unknown fields. */
  #readLine(bytes: Buffer, start: number, end: number): void {
    if (isNamed(DATA, bytes, start, end)) this.#dataLines.push(valueStart(bytes, start + DATA.length, end), end);
    else if (isNamed(EVENT, bytes, start, end)) {
      this.eventName = bytes.toString('utf8', valueStart(bytes, start + EVENT.length, end), end);
    }
  }
}

/** True if the line's field has this name: a colon or the end of the line follows. */
function isNamed(name: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const colon = start + name.length;
  if (colon > end || (colon < end && bytes[colon] !== COLON)) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}

/** One space after the colon is not part of the value. */
function valueStart(bytes: Buffer, colon: number, end: number): number {
  if (colon === end) return end;
  return colon + 1 < end && bytes[colon + 1] === SPACE ? colon + 2 : colon + 1;
}
