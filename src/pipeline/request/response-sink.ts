import type { HeaderPairs } from '../../core/headers.ts';

/**
 * Where one answer goes: a socket, a fetch Response, or a store. The pipeline calls `head` once, then `write` any
 * number of times, then `end` or `abort` exactly once. A sink whose caller has left swallows everything.
 */
export interface AnswerSink {
  head(status: number, headers: HeaderPairs): void;
  /** False: the reader is behind; hold back until `onDrain` fires. The bytes were taken all the same. */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): void;
  /** Breaks the answer off so that the reader sees it is not whole. */
  abort(): void;
  /** Called once when there is room again after a `write` that returned false. */
  onDrain(listener: () => void): void;
  /** True if the reader took anything since this was last asked, or if nothing could be expected of it. */
  readerMoved(): boolean;
}
