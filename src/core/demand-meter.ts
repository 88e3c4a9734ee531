/** Measures the demand for a resource: the recent rate of reservations, and blocked requests. */
import type { Instant } from './clock.ts';

/** The time constant of the rate's moving average, in milliseconds. */
const MEMORY_MS = 1_000;
/** After this long a blocked request that was not repeated counts as gone, in milliseconds. */
const WAITING_MS = 1_500;

export class DemandMeter {
  #taken = 0;
  #readAt: Instant;
  #ratePerMs = 0;
  #isRead = false;
  #blockedAt: Instant = -Infinity;
  #first = 0;
  /** The largest recent reservation. */
  #unit = 0;
  hasStarted = false;

  constructor(now: Instant) {
    this.#readAt = now;
  }

  take(amount: number): void {
    this.#taken += amount;
    this.hasStarted = true;
    if (amount > this.#unit) this.#unit = amount;
    this.#first = 0;
  }

  /** Records a blocked request. */
  block(now: Instant, amount: number): void {
    if (this.#first === 0 || now - this.#blockedAt > WAITING_MS) this.#first = amount;
    else if (amount > this.#first) this.#first = amount;
    this.#blockedAt = now;
  }

  /** The need of the first waiting request; 0: none waits. */
  first(now: Instant): number {
    return now - this.#blockedAt > WAITING_MS ? 0 : this.#first;
  }

  get unit(): number {
    return this.#unit;
  }

  /** True if anything was reserved or blocked since the last reading. */
  isActive(now: Instant): boolean {
    return this.#taken > 0 || this.first(now) > 0;
  }

  /** Returns the rate of reservations, per millisecond, and restarts the count. */
  read(now: Instant): number {
    const passedMs = now - this.#readAt;
    if (passedMs <= 0) return this.#ratePerMs;
    const fades = this.#isRead ? Math.exp(-passedMs / MEMORY_MS) : 0;
    this.#ratePerMs = this.#ratePerMs * fades + (this.#taken / passedMs) * (1 - fades);
    if (this.#ratePerMs < 1e-9) this.#ratePerMs = 0;
    this.#isRead = true;
    this.#readAt = now;
    this.#taken = 0;
    this.hasStarted = false;
    this.#unit *= 0.98;
    return this.#ratePerMs;
  }
}
