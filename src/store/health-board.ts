import type { Clock } from '../core/clock.ts';
import type { StoreFailure } from './backend.ts';
import type { StoreHealth, WarningListener } from './store.ts';
import type { StoreFault } from './store-fault.ts';

/** Minimum interval between warnings of the same fault. */
const warningIntervalMs = 60_000;

export interface HealthBoardOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  /** Names the store in warnings. */
  readonly name: string;
}

/** Tracks the health of a store, notifies listeners of changes, and warns once for each fault. */
export class HealthBoard {
  readonly #options: HealthBoardOptions;
  readonly #listeners = new Set<(health: StoreHealth) => void>();
  readonly #warnedAt = new Map<StoreFault, number>(); // no larger than the list of faults
  #health: StoreHealth = { state: 'ok' };

  constructor(options: HealthBoardOptions) {
    this.#options = options;
  }

  get health(): StoreHealth {
    return this.#health;
  }

  onChange(listener: (health: StoreHealth) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  degrade({ fault, message }: StoreFailure): void {
    const before = this.#health;
    if (before.state === 'degraded' && before.fault === fault) {
      // A later attempt may say more, as a refused password does after a closed connection.
      this.#health = { ...before, message };
      return;
    }
    const sinceMs = before.state === 'degraded' ? before.sinceMs : this.#options.clock.epochMs();
    this.#health = { state: 'degraded', fault, message, sinceMs };
    // The fault may change during one outage (a crash, then a lock): listeners are notified, but there is no second warning.
    if (before.state === 'ok') this.#warnOfFault(fault, message);
    this.#notify();
  }

  recover(): void {
    if (this.#health.state === 'ok') return;
    this.#health = { state: 'ok' };
    this.#notify();
  }

  warn(message: string, detail: Readonly<Record<string, unknown>>): void {
    try {
      this.#options.onWarning(message, detail);
    } catch {
      // A failing warning listener must not affect the store.
    }
  }

  #warnOfFault(fault: StoreFault, message: string): void {
    const now = this.#options.clock.now();
    const last = this.#warnedAt.get(fault);
    if (last !== undefined && now - last < warningIntervalMs) return;
    this.#warnedAt.set(fault, now);
    const { name } = this.#options;
    this.warn(`${name} is degraded (${fault}): ${message.replace(/\.+$/, '')}. State is kept in memory until it recovers`, {
      store: name.replace(/^the store /, ''),
      fault,
    });
  }

  #notify(): void {
    for (const listener of this.#listeners) {
      try {
        listener(this.#health);
      } catch (error) {
        this.warn(`a listener for the health of ${this.#options.name} failed`, { error });
      }
    }
  }
}
