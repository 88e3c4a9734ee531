/**
 * The limits of a library that uses a gateway: none of them is this process's while the gateway is alive, and its share once it is not. In
 * form of a shared store that grants nothing, and then is away.
 */
import { isSliced } from '../../core/lease.ts';
import type { LeaseClaim, LeaseGrant } from '../../core/lease.ts';
import { StoreFailure } from '../../store/backend.ts';
import type { ExchangeReply, SharedStore, SharedStoreListener } from '../../store/shared-store.ts';

export class GatewayShare implements SharedStore {
  readonly member = 'library';
  readonly isGateway = true;
  readonly #shares: () => number;
  #listener: SharedStoreListener | null = null;
  #isAlive = false;

  /** `shares`: by how many each limit is divided without the gateway. */
  constructor(shares: () => number) {
    this.#shares = shares;
  }

  set(isAlive: boolean): void {
    this.#isAlive = isAlive;
    this.#listener?.linked(isAlive);
  }

  open(listener: SharedStoreListener): void {
    this.#listener = listener;
    listener.linked(this.#isAlive);
  }

  async exchange(claims: readonly LeaseClaim[]): Promise<ExchangeReply> {
    if (!this.#isAlive) throw new StoreFailure('unavailable', 'the gateway does not answer');
    const members = Array.from({ length: this.#shares() }, (_, i) => `share ${i + 1}`);
    return { members, grants: claims.map(toGrant) };
  }

  publish(): void {}

  async leave(): Promise<void> {}
}

/** What waits in this process when the gateway comes back still has its share; nothing else has one. */
function toGrant(claim: LeaseClaim): LeaseGrant {
  const { first, capacity, rate, level, heldCapacity, heldRate } = claim;
  const isWaiting = first > 0;
  // A slice is all that it holds of a limit of a day. Of a window, `first` includes what is used.
  const lacking = isWaiting && isSliced(claim) ? Math.max(0, first - (rate > 0 ? level : heldCapacity)) : 0;
  const tokens = rate > 0 ? lacking : 0;
  // A share of a window is usable at once; a bucket fills up.
  const none = { epoch: 1, poolLevel: rate > 0 ? 0 : capacity, tokens, isContested: false, readyInMs: -1, lacks: false };
  const held = { capacity: isWaiting ? heldCapacity + lacking : 0, rate: isWaiting ? heldRate : 0 };
  return { ...none, ...held, fairCapacity: held.capacity, fairRate: held.rate };
}
