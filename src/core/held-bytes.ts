/**
 * Accounts for the request bodies and responses in memory, in bytes, over all requests (`server.maxBufferedBytes`), and for the share of
 * each holder: a client, or the address of a caller without a key.
 *
 * Where several holders share the memory, one may hold at most as much as is free: alone half of it, with another such holder a third.
 * So there is always memory for another holder. A part is reserved for higher priorities (`reserve`).
 */
import { assert } from './assert.ts';

/** Counts buffered bytes against a limit. */
export interface ByteBudget {
  /** The limit is reached: optional buffering stops. */
  readonly isFull: boolean;
  /** Counts bytes that are in memory already, regardless of the limit. */
  hold(bytes: number): void;
  release(bytes: number): void;
}

/** `full`: the limit of all holders is reached; `share`: the share of this holder is. */
export type HoldResult = 'held' | 'share' | 'full';

export class HeldBytes implements ByteBudget {
  readonly #max: () => number;
  readonly #isShared: () => boolean;
  /** Holders with more than 0 bytes. */
  readonly #byHolder = new Map<string, number>();
  #held = 0;

  /** Both are called each time, since a reload may change them. `isShared`: there may be more than one holder. */
  constructor(max: () => number, isShared: () => boolean = () => false) {
    this.#max = max;
    this.#isShared = isShared;
  }

  get total(): number {
    return this.#held;
  }

  get isFull(): boolean {
    return this.#held >= this.#max();
  }

  get isHalfFull(): boolean {
    return this.#held >= this.#max() / 2;
  }

  /** The number of holders with bytes in memory. */
  get holders(): number {
    return this.#byHolder.size;
  }

  of(holder: string): ByteAccount {
    return new ByteAccount(this, holder);
  }

  /** For bytes of no single holder. False: the limit is reached, and nothing was counted. */
  tryHold(bytes: number): boolean {
    if (this.#held + bytes > this.#max()) return false;
    this.hold(bytes);
    return true;
  }

  hold(bytes: number): void {
    this.#held += bytes;
  }

  release(bytes: number): void {
    this.#held -= bytes;
    assert(this.#held >= 0, 'held bytes are given back once');
  }

  heldBy(holder: string): number {
    return this.#byHolder.get(holder) ?? 0;
  }

  /** True if this holder has at least as much as is free. */
  isOverShare(holder: string): boolean {
    return this.#isShared() && this.heldBy(holder) >= this.#max() - this.#held;
  }

  /** `reserve`: the share of the limit that is kept free for higher priorities; `own`: bytes that the same request holds already. */
  check(holder: string, bytes: number, reserve: number, own: number): HoldResult {
    const max = this.#max();
    // A single request may use all of the memory.
    const ceiling = this.#held === own ? max : max * (1 - reserve);
    if (this.#held + bytes > ceiling) return 'full';
    return this.#held !== own && this.isOverShare(holder) ? 'share' : 'held';
  }

  count(holder: string, bytes: number): void {
    const held = this.heldBy(holder) + bytes;
    assert(held >= 0, 'held bytes are given back once');
    if (held === 0) this.#byHolder.delete(holder);
    else this.#byHolder.set(holder, held);
    this.#held += bytes;
  }
}

/** The bytes of one holder. */
export class ByteAccount implements ByteBudget {
  readonly #all: HeldBytes;
  readonly holder: string;

  constructor(all: HeldBytes, holder: string) {
    this.#all = all;
    this.holder = holder;
  }

  get total(): number {
    return this.#all.heldBy(this.holder);
  }

  /** Half of the memory is kept for request bodies, so that unread responses cannot block requests. */
  get isFull(): boolean {
    return this.#all.isHalfFull || this.#all.isOverShare(this.holder);
  }

  /** Any result but `held`: a limit is reached, and nothing was counted. See `HeldBytes.check`. */
  tryHold(bytes: number, reserve = 0, own = 0): HoldResult {
    const result = this.#all.check(this.holder, bytes, reserve, own);
    if (result === 'held') this.hold(bytes);
    return result;
  }

  hold(bytes: number): void {
    this.#all.count(this.holder, bytes);
  }

  release(bytes: number): void {
    this.#all.count(this.holder, -bytes);
  }
}
