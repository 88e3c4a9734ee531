/**
 * Removes unrequested `100 Continue` responses, which RFC 9110 15.2.1 allows and undici treats as a connection error. Only the beginning
 * of a response is examined.
 */
import type { Socket } from 'node:net';

const start = 'HTTP/1.1 100';
/** Maximum length of a removed head; a longer one is passed on unchanged. */
const headBytesMax = 16 * 1024;

export class InterimFilter {
  /** The next bytes begin a response. */
  #isArmed = false;
  /** The beginning of a response that is not classified yet. */
  #held: Buffer | null = null;

  /** A request is sent; a response follows. */
  arm(): void {
    this.#isArmed = true;
  }

  /** Filters the received bytes of a socket from now on. */
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

  /** The bytes to pass on; null: none yet. */
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
