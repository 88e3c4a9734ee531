import { assert } from './assert.ts';
import type { Instant } from './clock.ts';
import type { Need, Resource, Settlement } from './resource.ts';

/** The right to run: a reservation of each resource. Closed exactly once, by `settle` or `cancel`. */
export class Permit {
  readonly need: Need;
  readonly resources: readonly Resource[];
  readonly #tickets: number[];
  #open = true;
  /** `sent` is to be called when the request leaves, however soon. */
  isHeld = false;

  private constructor(need: Need, resources: readonly Resource[], tickets: number[]) {
    this.need = need;
    this.resources = resources;
    this.#tickets = tickets;
  }

  /** Reserves from every resource; the caller has checked each `earliest` at the same instant. */
  static reserve(now: Instant, need: Need, resources: readonly Resource[]): Permit {
    return new Permit(
      need,
      resources,
      resources.map((resource) => resource.reserve(now, need)),
    );
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** The ticket of a resource; null: none. */
  ticketOf(resource: Resource): number | null {
    const at = this.resources.indexOf(resource);
    return at < 0 ? null : this.#tickets[at]!;
  }

  /** A response has begun. True if this allows other requests to start. */
  onFirstContent(now: Instant): boolean {
    let unblocksOthers = false;
    for (let i = 0; i < this.resources.length; i++)
      if (this.resources[i]!.onFirstContent?.(now, this.#tickets[i]!, this.need) === true) unblocksOthers = true;
    return unblocksOthers;
  }

  /** The request is sent later than now, after which `sent` is called. */
  hold(now: Instant): void {
    this.isHeld = true;
    for (let i = 0; i < this.resources.length; i++) {
      this.#tickets[i] = this.resources[i]!.onHeld?.(now, this.#tickets[i]!, this.need) ?? this.#tickets[i]!;
    }
  }

  /** The request left later than its permit was taken. */
  sent(now: Instant): void {
    if (!this.#open) return;
    this.isHeld = false;
    for (let i = 0; i < this.resources.length; i++) {
      this.#tickets[i] = this.resources[i]!.onSent?.(now, this.#tickets[i]!, this.need) ?? this.#tickets[i]!;
    }
  }

  /** The attempt was sent: each resource corrects its reservation. */
  settle(now: Instant, settlement: Settlement): void {
    this.#close();
    for (let i = 0; i < this.resources.length; i++) this.resources[i]!.settle(now, this.#tickets[i]!, this.need, settlement);
  }

  /** The attempt was not sent: each resource releases its reservation. */
  cancel(now: Instant): void {
    this.#close();
    for (let i = 0; i < this.resources.length; i++) this.resources[i]!.cancel(now, this.#tickets[i]!, this.need);
  }

  #close(): void {
    assert(this.#open, 'a permit closes exactly once');
    this.#open = false;
  }
}
