/** How much of a resource is asked for: what was taken of late, and what could not be. */
import type { Instant } from './clock.ts';

/** What was taken is remembered about so long, in milliseconds. */
const MEMORY_MS = 1_000;
/** Somebody who asked in vain and has not asked again for so long is gone, in milliseconds. */
const WAITING_MS = 1_500;

export class DemandMeter {
  #taken = 0;
  #readAt: Instant;
  #ratePerMs = 0;
  #isRead = false;
  #blockedAt: Instant = -Infinity;
  #first = 0;
  /** The largest amount that was taken of late. */
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

  /** Asked for in vain. */
  block(now: Instant, amount: number): void {
    if (this.#first === 0 || now - this.#blockedAt > WAITING_MS) this.#first = amount;
    else if (amount > this.#first) this.#first = amount;
    this.#blockedAt = now;
  }

  /** What the first that waits needs; 0: nobody waits. */
  first(now: Instant): number {
    return now - this.#blockedAt > WAITING_MS ? 0 : this.#first;
  }

  get unit(): number {
    return this.#unit;
  }

  /** Something was taken, or asked for in vain, since the last reading. */
  isActive(now: Instant): boolean {
    return this.#taken > 0 || this.first(now) > 0;
  }

  /** Reads the rate at which it is taken, per millisecond, and begins to count anew. */
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
