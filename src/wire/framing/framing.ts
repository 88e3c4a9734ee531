/** How the events of a stream are laid out in its bytes. Dialects read server-sent events; any other layout is turned into them. */
import type { Failure } from '../../core/facts.ts';

export interface Framing {
  /** Whole events as server-sent events. After a failure nothing more is given. */
  push(chunk: Uint8Array): Framed;
}

export interface Framed {
  readonly events: Uint8Array | null;
  /** What comes after the events; null: nothing is wrong. */
  readonly failure: Failure | null;
}
