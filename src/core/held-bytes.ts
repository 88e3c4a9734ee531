/**
 * The bodies and answers that are in memory, in bytes, over all requests (`server.maxBufferedBytes`), and the share of each holder: a
 * client, or the address of a caller without a key.
 *
 * Where several holders share the memory, one may hold as much as it leaves free: alone half of it, beside another such one a third.
 * So there is always room for another holder. A part of it is for higher classes only (`reserve`).
 */
import { assert } from './assert.ts';

/** Where bytes that are in memory are counted. */
export interface ByteBudget {
  /** Nothing that could be refused is taken any more. */
  readonly isFull: boolean;
  /** For what is in memory already, whatever the limit. */
  hold(bytes: number): void;
  release(bytes: number): void;
}

/** `full`: all holders together have too much, `share`: this one has. */
export type HoldResult = 'held' | 'share' | 'full';

export class HeldBytes implements ByteBudget {
  readonly #max: () => number;
  readonly #isShared: () => boolean;
  /** By holder; only holders with more than 0 bytes. */
  readonly #byHolder = new Map<string, number>();
  #held = 0;

  /** Both are read each time, because a reload may change them. `isShared`: there may be more than one holder. */
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

  /** How many have something in memory. */
  get holders(): number {
    return this.#byHolder.size;
  }

  of(holder: string): ByteAccount {
    return new ByteAccount(this, holder);
  }

  /** For what belongs to no single holder. False: there is no room, and nothing was counted. */
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

  /** This holder has as much as it leaves free, or more. */
  isOverShare(holder: string): boolean {
    return this.#isShared() && this.heldBy(holder) >= this.#max() - this.#held;
  }

  /** `reserve`: the part of all that is left free for others; `own`: what the same request holds already. */
  check(holder: string, bytes: number, reserve: number, own: number): HoldResult {
    const max = this.#max();
    // One request alone may have everything.
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

  /** The other half of all room is left for bodies, so that answers that are not read keep no request out. */
  get isFull(): boolean {
    return this.#all.isHalfFull || this.#all.isOverShare(this.holder);
  }

  /** Anything but `held`: there is no room, and nothing was counted. See `HeldBytes.check`. */
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
