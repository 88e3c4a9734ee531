/**
 * Follows a response that may be recorded several times, each time from its beginning, as its followers leave and others come: passes its head
 * once and each byte once.
 */
import type { PlacedPart } from '../store/flight-store.ts';

export class FlightParts {
  #hasHead = false;
  /** Bytes passed. */
  #passed = 0;
  /** Bytes received of the present recording. */
  #received = 0;

  /** The part without what has been passed before; null: nothing of it is new. */
  next(part: PlacedPart): PlacedPart | null {
    const { kind, bytes } = part;
    if (kind === 'hello') this.#received = 0;
    if (kind === 'head') {
      if (this.#hasHead) return null;
      this.#hasHead = true;
    }
    if (kind !== 'chunk') return part;
    const known = this.#passed - this.#received;
    this.#received += bytes.byteLength;
    if (known >= bytes.byteLength) return null;
    this.#passed = this.#received;
    return known === 0 ? part : { ...part, bytes: bytes.subarray(known) };
  }
}
