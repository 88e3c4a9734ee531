/** A shared store in virtual time: the ledgers of one server behind a network delay. It can be slow, freeze, or lose all data. */
import type { Clock } from '../core/clock.ts';
import type { LeaseClaim } from '../core/lease.ts';
import { createLedger, exchange, type Ledger } from '../policy/lease/ledger.ts';
import { StoreFailure } from '../store/backend.ts';
import { MEMBER_SILENCE_MS, type ExchangeReply, type SharedStore, type SharedStoreListener } from '../store/shared-store.ts';

export interface VirtualMember extends SharedStore {
  /** Disconnects the member permanently. */
  kill(): void;
}

export interface VirtualFleetStore {
  /** Connects a new member. */
  connect(): VirtualMember;
  /** One-way network delay, in milliseconds. */
  delayMs: number;
  /** Whether calls get no response. */
  isFrozen: boolean;
  /** Whether every call fails at once. */
  isGone: boolean;
  /** Deletes all data. */
  clear(): void;
  readonly exchanges: number;
  readonly ledgers: ReadonlyMap<string, Ledger>;
}

export function createVirtualFleetStore(clock: Clock): VirtualFleetStore {
  return new FleetStore(clock);
}

class FleetStore implements VirtualFleetStore {
  readonly #clock: Clock;
  delayMs = 1;
  isFrozen = false;
  #isGone = false;
  exchanges = 0;
  readonly ledgers = new Map<string, Ledger>();
  readonly #seen = new Map<string, number>();
  readonly #listeners = new Map<string, SharedStoreListener>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  set isGone(isGone: boolean) {
    this.#isGone = isGone;
    for (const listener of this.#listeners.values()) listener.linked(!isGone);
  }

  clear(): void {
    this.ledgers.clear();
    this.#seen.clear();
  }

  connect(): VirtualMember {
    const member = `member ${++this.#count}`;
    let isDead = false;
    return {
      member,
      kill: () => {
        isDead = true;
        this.#listeners.delete(member);
      },
      open: (listener) => {
        this.#listeners.set(member, listener);
        if (!this.#isGone) this.#clock.schedule(this.delayMs, () => listener.linked(true));
      },
      exchange: (claims) =>
        this.#later(
          () => this.#exchange(member, claims, false),
          () => isDead,
        ),
      publish: (text) => {
        if (!isDead) this.#publish(member, text);
      },
      leave: async (claims) => {
        isDead = true;
        this.#listeners.delete(member);
        this.#exchange(member, claims, true);
      },
    };
  }

  #later<T>(run: () => T, isDead: () => boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isGone || isDead()) return reject(new StoreFailure('unavailable', 'it is gone'));
      this.#clock.schedule(this.delayMs, () => {
        if (this.isFrozen || this.#isGone) return;
        const result = run();
        this.#clock.schedule(this.delayMs, () => resolve(result));
      });
    });
  }

  #publish(from: string, text: string): void {
    for (const [name, listener] of this.#listeners) {
      if (name !== from) this.#clock.schedule(this.delayMs, () => !this.isFrozen && !this.#isGone && listener.message(text));
    }
  }

  #exchange(member: string, claims: readonly LeaseClaim[], leaves: boolean): ExchangeReply {
    const now = this.#clock.now();
    this.exchanges++;
    const newest = Math.max(-Infinity, ...this.#seen.values());
    if (now - newest > MEMBER_SILENCE_MS / 2) for (const name of this.#seen.keys()) this.#seen.set(name, now);
    this.#seen.set(member, now);
    for (const [name, at] of this.#seen) if (now - at > MEMBER_SILENCE_MS) this.#seen.delete(name);
    const called: string[] = [];
    const grants = claims.map((claim) => {
      let ledger = this.ledgers.get(claim.id);
      if (ledger === undefined) this.ledgers.set(claim.id, (ledger = createLedger(now, claim.capacity, now + 1)));
      const grant = exchange(ledger, member, claim, now, (name) => this.#seen.has(name));
      if (leaves && claim.countedMs === 0) ledger.parts.delete(member);
      if (grant.lacks) called.push(claim.id);
      return grant;
    });
    if (leaves) this.#seen.delete(member);
    if (called.length > 0) this.#publish(member, `call\n${called.join('\n')}`);
    return { members: [...this.#seen.keys()].sort(), grants };
  }
}
