/** Splits chunks of bytes into lines, copied and without their line breaks. */
export interface Line {
  /** Counted from 1. */
  readonly number: number;
  /** Null if it is longer than allowed. */
  readonly bytes: Uint8Array | null;
}

const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

export class LineReader {
  readonly #lengthMax: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isTooLong = false;
  #number = 0;

  /** `lengthMax`: the longest line, in bytes. */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  /** The lines that end in this chunk. Blank lines are skipped. */
  *read(piece: Uint8Array): Generator<Line> {
    let from = 0;
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, from)) {
      this.#hold(piece.subarray(from, at));
      from = at + 1;
      const line = this.#take();
      if (line !== null) yield line;
    }
    this.#hold(piece.subarray(from));
  }

  /** The last line, if it has no line break. */
  *end(): Generator<Line> {
    const line = this.#take();
    if (line !== null) yield line;
  }

  #hold(part: Uint8Array): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#lengthMax) {
      this.#isTooLong = true;
      this.#held = [];
    } else if (part.length > 0) this.#held.push(part);
  }

  #take(): Line | null {
    this.#number++;
    const bytes = this.#isTooLong ? null : withoutEnds(Buffer.concat(this.#held), this.#number === 1);
    this.#held = [];
    this.#heldBytes = 0;
    this.#isTooLong = false;
    return bytes?.length === 0 ? null : { number: this.#number, bytes };
  }
}

function withoutEnds(bytes: Buffer, isFirst: boolean): Uint8Array {
  const start = isFirst && BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte) ? BYTE_ORDER_MARK.length : 0;
  const end = bytes.at(-1) === RETURN ? bytes.length - 1 : bytes.length;
  const line = bytes.subarray(start, end);
  return line.every((byte) => byte === 0x20 || byte === 0x09) ? new Uint8Array(0) : line;
}
