/** What a kept answer is still good for. */

export interface CachePolicy {
  readonly enabled: boolean;
  /** How long an answer is fresh, in milliseconds. */
  readonly ttl: number;
  /** How long after that it may stand in when every target fails, in milliseconds. */
  readonly staleIfError: number;
  /** Identical requests in flight share one answer. */
  readonly coalesce: boolean;
}

/** `stale`: only where nobody can be asked for another; `gone`: for nothing. */
export type Freshness = 'fresh' | 'stale' | 'gone';

/** `ageMs`: since the answer was whole. A clock that was set back makes no answer older. */
export function freshnessOf(ageMs: number, { ttl, staleIfError }: Pick<CachePolicy, 'ttl' | 'staleIfError'>): Freshness {
  if (ageMs < ttl) return 'fresh';
  return ageMs < ttl + staleIfError ? 'stale' : 'gone';
}
