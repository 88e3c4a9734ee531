/** This instance as a member of a fleet that shares a store: leases of shared limits, and the health of targets. */
import type { Clock } from '../core/clock.ts';
import type { Leasable } from '../core/lease.ts';
import type { SharedStore } from '../store/shared-store.ts';
import { LeaseAgent, type FleetStatus } from './lease-agent.ts';
import { SharedHealth, type HealthSubject } from './shared-health.ts';

export interface FleetOptions {
  readonly clock: Clock;
  readonly shared: SharedStore;
  readonly subjects: () => Iterable<HealthSubject>;
  /** Queued requests may be able to start. */
  readonly onGranted: () => void;
  /** Target health was adopted from another instance. */
  readonly onAdopted: () => void;
  readonly onFleet: (status: FleetStatus) => void;
}

export class Fleet {
  readonly health: SharedHealth;
  readonly #shared: SharedStore;
  readonly #agent: LeaseAgent;

  constructor({ clock, shared, subjects, onGranted, onAdopted, onFleet }: FleetOptions) {
    this.#shared = shared;
    this.#agent = new LeaseAgent({ clock, shared, onGranted, onFleet });
    const publish = (text: string): void => shared.publish(text);
    this.health = new SharedHealth({ clock, subjects, publish, onAdopted, fleet: () => this.#agent.status });
  }

  get status(): FleetStatus {
    return this.#agent.status;
  }

  get exchanges(): number {
    return this.#agent.exchanges;
  }

  /** Resolves when this instance has its first leases, or when the store turns out to be unreachable. */
  start(): Promise<void> {
    const started = this.#agent.start();
    this.#shared.open({
      linked: (isLinked) => this.#agent.linked(isLinked),
      message: (text) => this.#take(text),
    });
    return started;
  }

  add(lease: Leasable): void {
    this.#agent.add(lease);
  }

  remove(id: string): void {
    this.#agent.remove(id);
  }

  short(id: string): void {
    this.#agent.short(id);
  }

  leave(): Promise<void> {
    this.health.stop();
    return this.#agent.leave();
  }

  #take(text: string): void {
    const [kind, ...lines] = text.split('\n');
    if (kind === 'call') this.#agent.called(lines);
    else if (kind === 'health') this.health.take(lines.join('\n'));
  }
}
