import type { Instant } from '../../core/clock.ts';

/** Random refusals are assumed to be within these shares of all calls. */
const SHARE_MIN = 0.04;
const SHARE_MAX = 0.12;
/** The part of the refusals that remains at the lower rate if a limit is the cause. */
const LIMIT_LEAVES = 0.25;

/** A sequential test on calls at a lower rate: is the share of refusals unchanged (random), or as small as expected with a limit? */
export class RefusalTrial {
  readonly since: Instant;
  readonly #randomShare: number;
  readonly #limitShare: number;
  #acceptedSince: Instant | null = null;
  score = 0;
  calls = 0;
  refused = 0;

  constructor(now: Instant, share: number, known: number) {
    this.since = now;
    this.#randomShare = Math.max(Math.min(SHARE_MAX, Math.max(SHARE_MIN, share)), 2 * known);
    this.#limitShare = Math.max(known, this.#randomShare * LIMIT_LEAVES);
  }

  add(now: Instant, isRefused: boolean): void {
    this.calls++;
    if (isRefused) this.refused++;
    else this.#acceptedSince ??= now;
    this.score += likelihood(isRefused, this.#randomShare, this.#limitShare);
  }

  /** Without the time before the first accepted call: a full window admits nothing, however slow calls are. */
  acceptedPerMinute(now: Instant): number {
    const ms = now - (this.#acceptedSince ?? now);
    return ms <= 0 ? Infinity : ((this.calls - this.refused) * 60_000) / ms;
  }

  callsPerMinute(now: Instant): number {
    return (this.calls * 60_000) / Math.max(1, now - this.since);
  }

  get share(): number {
    return this.calls === 0 ? 0 : this.refused / this.calls;
  }
}

/** The log-likelihood ratio of one outcome: of one share of refusals against another. */
export function likelihood(isRefused: boolean, share: number, other: number): number {
  return isRefused ? Math.log(share / other) : Math.log((1 - share) / (1 - other));
}
