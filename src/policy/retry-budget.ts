import type { Instant } from '../core/clock.ts';

export interface RetryBudgetOptions {
  /** Retries per first attempt. */
  readonly ratio: number;
  /** Retries per second whatever the traffic. */
  readonly minPerSecond: number;
}

/** What one retry took of both accounts. */
export interface RetryTaken {
  readonly client: string;
  readonly granted: number;
  readonly earned: number;
}

/** How long earned and granted retries accumulate, in milliseconds. */
const HORIZON_MS = 10_000;

/** Clients whose retries are counted; beyond this the one with the fewest is dropped. */
const CLIENTS_MAX = 16;
/** A client that made more than this share of all retries leaves this share of the budget to others. */
const FAIR_SHARE = 0.5;

interface ClientRetries {
  readonly client: string;
  amount: number;
}

/** For sums of floats: five times 0.2 is a whole retry. */
const EPSILON = 1e-9;

/**
 * Bounds the retries on one target over all requests, so that an outage is never amplified: each first attempt earns `ratio` of a retry.
 * `minPerSecond` is a floor, not an addition: a retry is charged to both accounts, so under heavy traffic only the ratio counts. Both decay
 * within ten seconds.
 *
 * While several clients use the target, half of the granted retries is reserved against a client that made most of the recent ones, so that
 * a client whose requests always fail does not use up the budget of the others.
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #earned = 0;
  #granted: number;
  #at: Instant;
  /** Recent retries of each client, decaying like the budget. */
  #retries: ClientRetries[] = [];
  #newestClient: string | null = null;
  /** The last request of any client other than the newest one. */
  #othersAt: Instant = -Infinity;
  #newestAt: Instant = -Infinity;

  constructor(options: RetryBudgetOptions, now: Instant) {
    this.#options = options;
    this.#granted = this.#grantedMax;
    this.#at = now;
  }

  get #grantedMax(): number {
    const { minPerSecond } = this.#options;
    return minPerSecond > 0 ? Math.max(1, (minPerSecond * HORIZON_MS) / 1000) : 0;
  }

  /** A request calls this target first. */
  earn(now: Instant, client = ''): void {
    this.#advance(now);
    this.#earned += this.#options.ratio;
    if (client !== this.#newestClient) [this.#newestClient, this.#othersAt] = [client, this.#newestAt];
    this.#newestAt = now;
  }

  /** True if one more retry is within the budget and the client's share of it. */
  allows(now: Instant, client = ''): boolean {
    return this.balance(now) >= 1 + this.#reservedAgainst(now, client) - EPSILON;
  }

  /** Takes one retry; call only where `allows` is true. Pass the result to `giveBack` if the retry is not made. */
  take(now: Instant, client = ''): RetryTaken {
    this.#advance(now);
    const taken = { client, granted: Math.min(1, this.#granted), earned: Math.min(1, this.#earned) };
    this.#granted -= taken.granted;
    this.#earned -= taken.earned;
    this.#retriesOf(client).amount++;
    return taken;
  }

  giveBack(now: Instant, taken: RetryTaken): void {
    this.#advance(now);
    this.#granted = Math.min(this.#grantedMax, this.#granted + taken.granted);
    this.#earned += taken.earned;
    const retries = this.#retriesOf(taken.client);
    retries.amount = Math.max(0, retries.amount - 1);
  }

  /** Retries that are allowed now. */
  balance(now: Instant): number {
    this.#advance(now);
    return Math.max(this.#earned, this.#granted);
  }

  /** The amount that this client must leave to others. */
  #reservedAgainst(now: Instant, client: string): number {
    const othersAt = client === this.#newestClient ? this.#othersAt : this.#newestAt;
    if (now - othersAt > HORIZON_MS) return 0;
    let all = 0;
    let own = 0;
    for (const retries of this.#retries) {
      all += retries.amount;
      if (retries.client === client) own = retries.amount;
    }
    return own > 1 && own > FAIR_SHARE * all ? FAIR_SHARE * this.#grantedMax : 0;
  }

  #retriesOf(client: string): ClientRetries {
    let retries = this.#retries.find((one) => one.client === client);
    if (retries === undefined) {
      if (this.#retries.length >= CLIENTS_MAX) {
        this.#retries.sort((a, b) => b.amount - a.amount);
        this.#retries.pop();
      }
      this.#retries.push((retries = { client, amount: 0 }));
    }
    return retries;
  }

  #advance(now: Instant): void {
    const passedMs = now - this.#at;
    if (passedMs <= 0) return;
    this.#at = now;
    const left = Math.exp(-passedMs / HORIZON_MS);
    this.#earned *= left;
    for (const retries of this.#retries) retries.amount *= left;
    this.#granted = Math.min(this.#grantedMax, this.#granted + (this.#options.minPerSecond * passedMs) / 1000);
  }
}
