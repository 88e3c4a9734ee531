/**
 * Writes the parts of a response to the store for the instances that follow it, in order, with a heartbeat while there are none. A
 * recording that nothing follows any more is removed; another one of the same response may come after it.
 */
import type { Clock, Timer } from '../core/clock.ts';
import type { FlightPart, FlightStore } from '../store/flight-store.ts';

export const BEAT_MS = 1_000;
/** Unsaved parts, in bytes; beyond it the recorder is behind. */
const WAITING_BYTES_MAX = 256 * 1024;
const NO_BYTES = new Uint8Array(0);

export class FlightRecorder {
  readonly #clock: Clock;
  readonly #store: FlightStore;
  readonly #id: string;
  #waiting: FlightPart[] = []; // bounded by its writer, which stops while it is behind
  #waitingBytes = 0;
  #isSending = false;
  #beat: Timer | null = null;
  #isClosed = false;
  /** The parts in the store are to be removed before the next one is written. */
  #mustClear = false;
  /** The store could not be used: this recorder writes nothing more. */
  hasFailed = false;
  /** Called once it is no longer behind. */
  onDrained: (() => void) | null = null;
  /** The store can't be used: nothing more is recorded. */
  onFailed: (() => void) | null = null;

  constructor(clock: Clock, store: FlightStore, id: string) {
    this.#clock = clock;
    this.#store = store;
    this.#id = id;
  }

  get isBehind(): boolean {
    return this.#waitingBytes > WAITING_BYTES_MAX;
  }

  /** False: it is behind. */
  add(kind: string, meta: unknown = null, bytes: Uint8Array = NO_BYTES): boolean {
    if (this.#isClosed) return true;
    this.#waiting.push({ kind, meta: JSON.stringify(meta), bytes });
    this.#waitingBytes += bytes.byteLength;
    if (!this.#isSending) void this.#send();
    return !this.isBehind;
  }

  /** After the last part. */
  close(): void {
    this.#isClosed = true;
    this.#beat?.cancel();
  }

  /** Ends a recording that nothing follows, and removes its parts, those in the store as well. */
  clear(): void {
    this.close();
    if (this.hasFailed) return;
    for (const { bytes } of this.#waiting.splice(0)) this.#waitingBytes -= bytes.byteLength;
    this.#mustClear = true;
    if (!this.#isSending) void this.#send();
  }

  /** Begins another recording of the same response; its parts are written after those of the last one are removed. */
  reopen(): void {
    this.#isClosed = false;
    this.onDrained = null;
    this.onFailed = null;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    this.#beat?.cancel();
    // The parts of one turn of the event loop go together.
    await Promise.resolve();
    while (this.#mustClear || this.#waiting.length > 0) {
      const isClearing = this.#mustClear;
      this.#mustClear = false;
      const parts = isClearing ? [] : this.#waiting.splice(0);
      try {
        await (isClearing ? this.#store.clear(this.#id) : this.#store.append(this.#id, parts));
      } catch {
        this.close();
        this.hasFailed = true;
        this.#waiting = [];
        this.onFailed?.();
        return;
      }
      const wasBehind = this.isBehind;
      for (const { bytes } of parts) this.#waitingBytes -= bytes.byteLength;
      if (wasBehind && !this.isBehind) this.onDrained?.();
    }
    this.#isSending = false;
    if (!this.#isClosed) this.#beat = this.#clock.schedule(BEAT_MS, () => void this.add('beat'));
  }
}
