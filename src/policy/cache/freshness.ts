/** What a cached response may be used for. */

export interface CachePolicy {
  readonly enabled: boolean;
  /** How long a response is fresh, in milliseconds. */
  readonly ttl: number;
  /** How long after that it may be served when every target fails, in milliseconds. */
  readonly staleIfError: number;
  /** Identical requests in flight share one response. */
  readonly coalesce: boolean;
}

/** `stale`: usable only when no target can respond; `gone`: not usable. */
export type Freshness = 'fresh' | 'stale' | 'gone';

/** `ageMs`: since the response was complete; negative where the clock was set back. */
export function freshnessOf(ageMs: number, { ttl, staleIfError }: Pick<CachePolicy, 'ttl' | 'staleIfError'>): Freshness {
  if (ageMs < ttl) return 'fresh';
  return ageMs < ttl + staleIfError ? 'stale' : 'gone';
}
