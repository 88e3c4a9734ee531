/** What of one answer its caller has not read yet, beyond what a socket takes at once. Counted until it is read or broken off. */
import type { Instant } from '../core/clock.ts';
import type { Running } from '../pipeline/request/running-list.ts';
import type { StallWatch, Stallable } from './stall-watch.ts';

/** An ended answer of which nothing is read for so long is broken off, in milliseconds. The engine bounds one that goes on. */
export const UNREAD_MAX_MS = 120_000;

/** What a connection's own buffers hold at most: so much unread is not counted, in bytes. */
export const UNCOUNTED_MAX = 128 * 1024;

/** Where unread bytes are counted: for the client of one request. */
export interface ByteCharge {
  readonly holder: string;
  readonly stalls: StallWatch;
  now(): Instant;
  hold(bytes: number): void;
  release(bytes: number): void;
}

/** The way to the caller. */
export interface AnswerOutlet {
  /** Bytes that the caller's side has taken since the connection began. */
  readonly takenBytes: number;
  /** Nothing more is written to this answer. */
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

  /** So many bytes wait for the caller now. */
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
