import type { HeaderPairs } from '../../core/headers.ts';

/**
 * The destination of one response: a socket, a fetch Response, or a store. The pipeline calls `head` once, then `write` any number of
 * times, then `end` or `abort` exactly once. After the caller has disconnected, a sink ignores all calls.
 */
export interface ResponseSink {
  head(status: number, headers: HeaderPairs): void;
  /** False: the buffer is full, so pause until `onDrain` fires. The bytes are accepted in any case. */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): void;
  /** Ends the response so that the reader can detect that it is incomplete. */
  abort(): void;
  /** Called once when the buffer has room again after a `write` that returned false. */
  onDrain(listener: () => void): void;
  /** True if the reader took any bytes since the last call, or if there were none to take. */
  readerMoved(): boolean;
}
