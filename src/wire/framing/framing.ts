/** How the events of a stream are encoded in its bytes. Dialects read server-sent events; any other framing is converted to them. */
import type { Failure } from '../../core/facts.ts';

export interface Framing {
  /** Returns complete events as server-sent events, and nothing after a failure. */
  push(chunk: Uint8Array): Framed;
}

export interface Framed {
  readonly events: Uint8Array | null;
  /** A failure after these events; null: none. */
  readonly failure: Failure | null;
}
