/** Finds the lines of a result file by their ids, without holding the responses. */
export interface ScannedLine {
  readonly customId: string;
  /** In the file, in bytes. */
  readonly start: number;
  /** With the line feed. */
  readonly length: number;
}

const LINE_FEED = 0x0a;
/** The start of a line up to its custom id, which has at most 512 characters; in bytes. */
const HEAD_BYTES_MAX = 8 * 1024;
const HEAD = /^\{"id":"[^"]*","custom_id":("(?:[^"\\]|\\.)*"),/;

export class ResultScanner {
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #start = 0;
  #length = 0;

  /** The lines that end in this chunk; every line of a result file ends with a line feed. */
  *read(chunk: Uint8Array): Generator<ScannedLine> {
    for (let at = 0; at < chunk.byteLength;) {
      const end = chunk.indexOf(LINE_FEED, at);
      const stop = end < 0 ? chunk.byteLength : end + 1;
      this.#hold(chunk.subarray(at, stop));
      if (end >= 0) yield this.#take();
      at = stop;
    }
  }

  #hold(bytes: Uint8Array): void {
    this.#length += bytes.byteLength;
    const head = bytes.slice(0, HEAD_BYTES_MAX - this.#headBytes);
    if (head.byteLength === 0) return;
    this.#head.push(head);
    this.#headBytes += head.byteLength;
  }

  #take(): ScannedLine {
    const id = HEAD.exec(Buffer.concat(this.#head).toString('utf8'))?.[1];
    if (id === undefined) throw new Error('a line of a result file has no custom_id');
    const line = { customId: JSON.parse(id) as string, start: this.#start, length: this.#length };
    this.#start += this.#length;
    this.#length = 0;
    this.#head = [];
    this.#headBytes = 0;
    return line;
  }
}
