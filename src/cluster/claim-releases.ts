/** Releases claims in the store: those of complete responses some time after their end, and again those that could not be released. */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { withTimeout } from '../store/backend.ts';
import type { FlightStore } from '../store/flight-store.ts';

/** The claim of a complete response is kept for at least this long, so that the response is in the store before it ends; in milliseconds. */
const RELEASE_MS = 1_000;
const WAITING_MAX = 10_000;
/** At the close, in milliseconds. */
const CLOSE_MS = 300;

export interface HeldClaim {
  readonly id: string;
  readonly names: readonly string[];
  readonly owner: string;
}

export class ClaimReleases {
  readonly #clock: Clock;
  readonly #store: FlightStore;
  readonly #onRelease: (id: string) => void;
  #waiting: { readonly claim: HeldClaim; readonly since: Instant }[] = []; // at most WAITING_MAX, the oldest first
  #timer: Timer | null = null;
  #isClosed = false;

  /** `onRelease`: the claim is about to be released, or ends by itself. */
  constructor(clock: Clock, store: FlightStore, onRelease: (id: string) => void) {
    this.#clock = clock;
    this.#store = store;
    this.#onRelease = onRelease;
  }

  /** At once if it is closed. */
  later(claim: HeldClaim): void {
    if (this.#isClosed) return this.now([claim]);
    // Beyond it claims end by themselves.
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push({ claim, since: this.#clock.now() });
    else this.#onRelease(claim.id);
    this.#timer ??= this.#clock.schedule(RELEASE_MS, () => this.#releaseDue());
  }

  now(claims: readonly HeldClaim[]): void {
    void this.#release(claims);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const claims = this.#waiting.splice(0).map(({ claim }) => claim);
    if (claims.length > 0) await withTimeout(this.#clock, CLOSE_MS, 'releasing claims', this.#release(claims)).catch(() => {});
  }

  #releaseDue(): void {
    const now = this.#clock.now();
    const next = this.#waiting.findIndex(({ since }) => now - since < RELEASE_MS);
    const due = this.#waiting.splice(0, next < 0 ? this.#waiting.length : next);
    this.#timer = next < 0 ? null : this.#clock.schedule(RELEASE_MS, () => this.#releaseDue());
    this.now(due.map(({ claim }) => claim));
  }

  async #release(claims: readonly HeldClaim[]): Promise<void> {
    for (const { id } of claims) this.#onRelease(id);
    try {
      await this.#store.release(claims.flatMap(({ names, owner }) => names.map((name) => [name, owner] as const)));
    } catch {
      if (!this.#isClosed) for (const claim of claims) this.later(claim);
    }
  }
}
