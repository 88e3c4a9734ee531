/** Counts the bytes of a response that its caller has not read yet, beyond the socket buffers, until they are read or the response is aborted. */
import type { Instant } from '../core/clock.ts';
import type { Running } from '../pipeline/request/running-list.ts';
import type { StallWatch, Stallable } from './stall-watch.ts';

/** A complete response that is not read for this long is aborted, in milliseconds. The pipeline limits streams that are still running. */
export const UNREAD_MAX_MS = 120_000;

/** Unread bytes up to the size of socket buffers are not counted. */
export const UNCOUNTED_MAX = 128 * 1024;

/** The account of unread bytes: that of the request's client. */
export interface ByteCharge {
  readonly holder: string;
  readonly stalls: StallWatch;
  now(): Instant;
  hold(bytes: number): void;
  release(bytes: number): void;
}

/** The connection to the caller. */
export interface AnswerOutlet {
  /** Bytes sent on the connection since it was opened. */
  readonly takenBytes: number;
  /** The response is complete. */
  readonly hasEnded: boolean;
  /** Closes the connection. */
  breakOff(): void;
}

export class UnreadAnswer implements Stallable {
  older: Running | null = null;
  newer: Running | null = null;
  readonly givesWayAfterMs = 10_000;
  heldBytes = 0;
  movedAt: Instant;
  readonly #charge: ByteCharge;
  readonly #outlet: AnswerOutlet;
  #takenBytes: number;

  constructor(charge: ByteCharge, outlet: AnswerOutlet) {
    this.#charge = charge;
    this.#outlet = outlet;
    this.#takenBytes = outlet.takenBytes;
    this.movedAt = charge.now();
  }

  get holder(): string {
    return this.#charge.holder;
  }

  /** Sets the number of unread bytes. */
  set(bytes: number): void {
    const before = this.heldBytes;
    this.heldBytes = bytes;
    if (bytes > before) this.#charge.hold(bytes - before);
    else if (bytes < before) this.#charge.release(before - bytes);
    if (before === 0 && bytes > 0) {
      this.movedAt = this.#charge.now();
      this.#charge.stalls.add(this);
    } else if (before > 0 && bytes === 0) this.#charge.stalls.remove(this);
  }

  look(now: Instant): void {
    const { takenBytes, hasEnded } = this.#outlet;
    if (takenBytes !== this.#takenBytes) {
      const left = Math.max(1, this.heldBytes - Math.max(0, takenBytes - this.#takenBytes));
      this.#takenBytes = takenBytes;
      this.movedAt = now;
      this.set(left);
    } else if (hasEnded && now - this.movedAt >= UNREAD_MAX_MS) this.stop();
  }

  stop(): void {
    this.#outlet.breakOff();
    this.set(0);
  }
}
