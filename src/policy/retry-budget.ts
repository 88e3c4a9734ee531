import type { Instant } from '../core/clock.ts';

export interface RetryBudgetOptions {
  /** Repeats allowed per first attempt. */
  readonly ratio: number;
  /** Repeats allowed per second however little is sent. */
  readonly minPerSecond: number;
}

/** What one repeat has taken of both accounts. */
export interface RepeatTaken {
  readonly client: string;
  readonly granted: number;
  readonly earned: number;
}

/** How long what was earned or granted can be saved up. */
const HORIZON_MS = 10_000;

/** Clients whose repeats are counted; beyond this the one that has taken least is forgotten. */
const CLIENTS_MAX = 16;
/** A client that has made more than this share of all repeats leaves this share of the budget to the others. */
const FAIR_SHARE = 0.5;

interface Takings {
  readonly client: string;
  amount: number;
}

/** Sums of floats: five times 0.2 is a whole repeat. */
const EPSILON = 1e-9;

/**
 * Bounds the repeats on one target over all requests, so that an outage is never amplified: each first attempt earns
 * `ratio` of a repeat. `minPerSecond` is a floor, not an addition: a repeat is charged to both accounts, so that where
 * much is sent the ratio alone counts. Both fade after ten seconds.
 *
 * Half of what the budget can hold by the grant is out of reach for a client that has made most of the repeats of late, while other
 * clients send to the target too: whose requests always fail does not use up what the others' need.
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #earned = 0;
  #granted: number;
  #at: Instant;
  /** What each client has taken of late, fading as the budget does. */
  #takings: Takings[] = [];
  #newestClient: string | null = null;
  /** When a client other than the newest one sent something. */
  #othersAt: Instant = -Infinity;
  #newestAt: Instant = -Infinity;

  constructor(options: RetryBudgetOptions, now: Instant) {
    this.#options = options;
    this.#granted = this.#grantMax;
    this.#at = now;
  }

  get #grantMax(): number {
    const { minPerSecond } = this.#options;
    return minPerSecond > 0 ? Math.max(1, (minPerSecond * HORIZON_MS) / 1000) : 0;
  }

  /** A request asked this target for the first time. */
  earn(now: Instant, client = ''): void {
    this.#advance(now);
    this.#earned += this.#options.ratio;
    if (client !== this.#newestClient) [this.#newestClient, this.#othersAt] = [client, this.#newestAt];
    this.#newestAt = now;
  }

  /** True if one more repeat is within the budget, and within the client's share of it. */
  allows(now: Instant, client = ''): boolean {
    return this.balance(now) >= 1 + this.#keptFrom(now, client) - EPSILON;
  }

  /** Takes one repeat; the caller has asked `allows`. What this returns gives it back if the repeat is not made. */
  take(now: Instant, client = ''): RepeatTaken {
    this.#advance(now);
    const taken = { client, granted: Math.min(1, this.#granted), earned: Math.min(1, this.#earned) };
    this.#granted -= taken.granted;
    this.#earned -= taken.earned;
    this.#takingsOf(client).amount++;
    return taken;
  }

  giveBack(now: Instant, taken: RepeatTaken): void {
    this.#advance(now);
    this.#granted = Math.min(this.#grantMax, this.#granted + taken.granted);
    this.#earned += taken.earned;
    const takings = this.#takingsOf(taken.client);
    takings.amount = Math.max(0, takings.amount - 1);
  }

  /** Repeats that are allowed now. */
  balance(now: Instant): number {
    this.#advance(now);
    return Math.max(this.#earned, this.#granted);
  }

  /** What the client must leave to others. */
  #keptFrom(now: Instant, client: string): number {
    const othersAt = client === this.#newestClient ? this.#othersAt : this.#newestAt;
    if (now - othersAt > HORIZON_MS) return 0;
    let all = 0;
    let own = 0;
    for (const takings of this.#takings) {
      all += takings.amount;
      if (takings.client === client) own = takings.amount;
    }
    return own > 1 && own > FAIR_SHARE * all ? FAIR_SHARE * this.#grantMax : 0;
  }

  #takingsOf(client: string): Takings {
    let takings = this.#takings.find((one) => one.client === client);
    if (takings === undefined) {
      if (this.#takings.length >= CLIENTS_MAX) {
        this.#takings.sort((a, b) => b.amount - a.amount);
        this.#takings.pop();
      }
      this.#takings.push((takings = { client, amount: 0 }));
    }
    return takings;
  }

  #advance(now: Instant): void {
    const passedMs = now - this.#at;
    if (passedMs <= 0) return;
    this.#at = now;
    const left = Math.exp(-passedMs / HORIZON_MS);
    this.#earned *= left;
    for (const takings of this.#takings) takings.amount *= left;
    this.#granted = Math.min(this.#grantMax, this.#granted + (this.#options.minPerSecond * passedMs) / 1000);
  }
}
