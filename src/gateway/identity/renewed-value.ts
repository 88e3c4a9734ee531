/**
 * A value with a lifetime, such as an access token: loaded before it is needed and renewed before it expires, with one load for all waiters.
 * A failed load is repeated after a growing pause; during the pause every waiter gets the failure at once.
 */
import { CredentialError } from '../../transport/credential-error.ts';
import type { Clock, Instant, Timer } from '../../core/clock.ts';

export interface Loaded<T> {
  readonly value: T;
  /** How long it is valid, in milliseconds. */
  readonly forMs: number;
}

/** The source of the value that requests are signed with. */
export interface Source<T> {
  /** Null: currently not available. */
  get(): T | null;
  whenReady(listener: (error: Error | null) => void): () => void;
  /** Reports that a provider rejected the value. True: a newer one is available or being loaded. */
  refuse(value: T): boolean;
  close(): void;
}

export interface RenewedOptions<T> {
  readonly clock: Clock;
  /** Settles within a bounded time. */
  readonly load: () => Promise<Loaded<T>>;
  readonly onLoaded?: (value: T) => void;
  /** Called for the first of consecutive failures. */
  readonly onTrouble?: (error: Error) => void;
}

/** How long before its expiry a value is renewed, in milliseconds, but not before half of its lifetime. */
const EARLY_MS = 5 * 60_000;
/** A value that expires within this is not used, in milliseconds. */
const MARGIN_MS = 10_000;
const PAUSE_MIN_MS = 250;
const PAUSE_MAX_MS = 60_000;
/** After a rejection the value is renewed; another rejection within this time has a different cause, in milliseconds. */
const REFUSED_EVERY_MS = 10_000;
/** The longest delay of a timer. */
const TIMER_MAX_MS = 24 * 60 * 60_000;

function closing(): CredentialError {
  return new CredentialError('no credentials: they are no longer configured, or the gateway is closing');
}

type Listener = (error: Error | null) => void;

export class RenewedValue<T> implements Source<T> {
  readonly #options: RenewedOptions<T>;
  #value: T | null = null;
  #refusedAt: Instant = -Infinity;
  #goodUntil: Instant = -Infinity;
  #error: Error | null = null;
  #pauseMs = 0;
  #timer: Timer | null = null;
  #isLoading = false;
  #isClosed = false;
  readonly #waiting = new Set<Listener>();

  constructor(options: RenewedOptions<T>) {
    this.#options = options;
  }

  /** Null: not loaded, or expired. */
  get(): T | null {
    return this.#options.clock.now() < this.#goodUntil ? this.#value : null;
  }

  /** Starts loading, unless already loading. */
  load(): void {
    if (this.#isLoading || this.#isClosed) return;
    this.#isLoading = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#options.load().then(
      (loaded) => this.#take(loaded),
      (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Calls back asynchronously when the current load ends, or with the last failure during its pause. */
  whenReady(listener: Listener): () => void {
    this.#waiting.add(listener);
    const isPausing = this.#error !== null && this.#timer !== null;
    if (this.#isClosed || (isPausing && !this.#isLoading)) {
      const error = this.#error ?? closing();
      queueMicrotask(() => this.#waiting.delete(listener) && listener(error));
    } else this.load();
    return () => void this.#waiting.delete(listener);
  }

  /** See `Source.refuse`. */
  refuse(value: T): boolean {
    if (value !== this.#value) return true;
    const now = this.#options.clock.now();
    if (now - this.#refusedAt < REFUSED_EVERY_MS) return false;
    this.#refusedAt = now;
    this.#value = null;
    this.#goodUntil = -Infinity;
    this.load();
    return !this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#settleWaits(this.#error ?? closing());
  }

  #take({ value, forMs }: Loaded<T>): void {
    this.#isLoading = false;
    if (this.#isClosed) return;
    const now = this.#options.clock.now();
    this.#value = value;
    this.#goodUntil = now + forMs - Math.min(MARGIN_MS, forMs / 2);
    this.#error = null;
    this.#pauseMs = 0;
    this.#schedule(forMs - Math.min(EARLY_MS, forMs / 2));
    this.#options.onLoaded?.(value);
    this.#settleWaits(null);
  }

  #fail(error: Error): void {
    this.#isLoading = false;
    if (this.#isClosed) return;
    const isFirst = this.#error === null;
    this.#error = error;
    this.#pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, this.#pauseMs * 2));
    this.#schedule(this.#pauseMs);
    if (isFirst) this.#options.onTrouble?.(error);
    this.#settleWaits(error);
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.schedule(Math.min(delayMs, TIMER_MAX_MS), () => {
      this.#timer = null;
      this.load();
    });
  }

  #settleWaits(error: Error | null): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const listener of waiting) listener(error);
  }
}
