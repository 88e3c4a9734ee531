/**
 * Skips unrequested `100 Continue` responses (RFC 9110 15.2.1 lets a server send them, and a client must take them):
 * undici takes one for the end of its connection. Only what comes at the beginning of an answer is looked at.
 */
import type { Socket } from 'node:net';

const start = 'HTTP/1.1 100';
/** A longer head is passed on as it is. */
const headBytesMax = 16 * 1024;

export class InterimFilter {
  /** The next bytes begin an answer. */
  #isArmed = false;
  /** The beginning of an answer that is not decided on yet. */
  #held: Buffer | null = null;

  /** A request is sent: an answer is next. */
  arm(): void {
    this.#isArmed = true;
  }

  /** Filters what the socket receives from here on. */
  attach(socket: Socket): void {
    this.#held = null;
    const push = socket.push.bind(socket);
    socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (!this.#isArmed) return push(chunk, encoding);
      if (chunk === null) return this.#end(push);
      const rest = this.#take(chunk as Buffer);
      return rest === null || push(rest, encoding);
    };
  }

  #end(push: (chunk: unknown) => boolean): boolean {
    const held = this.#held;
    this.#held = null;
    if (held !== null) push(held);
    return push(null);
  }

  /** What is to be passed on; null: nothing yet. */
  #take(chunk: Buffer): Buffer | null {
    let bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    for (;;) {
      const head = bytes.toString('latin1', 0, start.length).replace('HTTP/1.0', 'HTTP/1.1');
      const mayBeInterim = start.startsWith(head);
      const end = mayBeInterim ? bytes.indexOf('\r\n\r\n') : -1;
      if (end >= 0) {
        bytes = bytes.subarray(end + 4);
        if (bytes.length === 0) return null;
      } else if (mayBeInterim && bytes.length < headBytesMax) {
        this.#held = bytes;
        return null;
      } else {
        this.#isArmed = false;
        return bytes;
      }
    }
  }
}
