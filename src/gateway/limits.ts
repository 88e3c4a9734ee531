/** Builds resources from configured limits. */
import type { Clock, Instant } from '../core/clock.ts';
import type { TokenUsage } from '../core/facts.ts';
import type { Need, Resource, ResourceKind } from '../core/resource.ts';
import type { Leasable } from '../core/lease.ts';
import { ConcurrencyLimiter } from '../policy/concurrency-limiter/concurrency-limiter.ts';
import { LeasedConcurrency } from '../policy/concurrency-limiter/leased-concurrency.ts';
import { LeasedBucket } from '../policy/rate-limiter/leased-bucket.ts';
import { LeasedWindow } from '../policy/rate-limiter/leased-window.ts';
import { SlidingWindow } from '../policy/rate-limiter/sliding-window.ts';
import { TokenBucket } from '../policy/rate-limiter/token-bucket.ts';
import type { LimitMeasure, LimitOptions } from '../policy/rate-limiter/token-bucket.ts';
import type { LimitsConfig } from './config/index.ts';

type LeasedLimit = LeasedBucket | LeasedWindow | LeasedConcurrency;
export type LimitResource = TokenBucket | SlidingWindow | ConcurrencyLimiter;

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const REQUESTS: LimitMeasure = { of: (need: Need) => need.requests, used: () => null };
const INPUT_TOKENS: LimitMeasure = { of: (need) => need.inputTokens, used: (usage: TokenUsage) => usage.inputTokens };
const OUTPUT_TOKENS: LimitMeasure = { of: (need) => need.outputTokens, used: (usage: TokenUsage) => usage.outputTokens };
const ALL_TOKENS: LimitMeasure = {
  of: (need) => need.inputTokens + need.outputTokens,
  used: (usage) => usage.inputTokens + usage.outputTokens,
};

interface LimitKind {
  readonly windowMs: number;
  readonly kind: ResourceKind;
  readonly measure: LimitMeasure;
}

const KINDS = {
  requestsPerSecond: { windowMs: SECOND_MS, kind: 'requests', measure: REQUESTS },
  requestsPerMinute: { windowMs: MINUTE_MS, kind: 'requests', measure: REQUESTS },
  requestsPerDay: { windowMs: DAY_MS, kind: 'requests', measure: REQUESTS },
  tokensPerMinute: { windowMs: MINUTE_MS, kind: 'tokens', measure: ALL_TOKENS },
  tokensPerDay: { windowMs: DAY_MS, kind: 'tokens', measure: ALL_TOKENS },
  inputTokensPerMinute: { windowMs: MINUTE_MS, kind: 'tokens', measure: INPUT_TOKENS },
  outputTokensPerMinute: { windowMs: MINUTE_MS, kind: 'tokens', measure: OUTPUT_TOKENS },
} as const satisfies Record<string, LimitKind>;

type RateKind = keyof typeof KINDS;

interface KnownLimit {
  readonly resource: LimitResource;
  /** Its displayed id; null: no longer in the config. */
  shownAs: string | null;
}

/** Synchronizes this instance's shares of the limits with other instances. */
export interface LimitFleet {
  add(lease: Leasable): void;
  remove(id: string): void;
  /** A request needs more of this limit than the share has left. */
  short(id: string): void;
  /** False: this process was frozen, and the others may use its leases. */
  isCurrent(now: Instant): boolean;
}

/**
 * Limit resources by id. They survive reloads with their state, and a changed limit applies at once, also to waiting requests. Only a
 * different kind of window creates a new resource, which starts full.
 */
export class LimitRegistry {
  readonly #clock: Clock;
  readonly #limits = new Map<string, KnownLimit>();
  readonly #fleet: LimitFleet | null;
  /** Called for each new limit. */
  onCreated: ((id: string, resource: LimitResource) => void) | null = null;

  constructor(clock: Clock, fleet: LimitFleet | null = null) {
    this.#clock = clock;
    this.#fleet = fleet;
  }

  /**
   * One resource per configured limit. `scope`: the owner of the limits; `shownAs`: its displayed name; `kind` replaces the kind of each
   * limit.
   */
  make(scope: string, shownAs: string, limits: LimitsConfig, kind?: ResourceKind): LimitResource[] {
    const made: LimitResource[] = [];
    for (const name of Object.keys(KINDS) as RateKind[]) {
      const limit = limits[name];
      if (limit !== undefined) made.push(this.#shown(`${shownAs}:${name}`, this.#rate(`${scope}:${name}`, name, limit, limits, kind)));
    }
    if (limits.concurrency !== undefined) {
      made.push(this.#shown(`${shownAs}:concurrency`, this.#concurrency(`${scope}:concurrency`, limits.concurrency)));
    }
    return made;
  }

  all(): IterableIterator<[string, KnownLimit]> {
    return this.#limits.entries();
  }

  /** After a reload: hides all other limits, and drops those without current usage. */
  showOnly(used: ReadonlySet<Resource>): void {
    const now = this.#clock.now();
    for (const [id, known] of this.#limits) {
      if (used.has(known.resource)) continue;
      known.shownAs = null;
      if (!isLeased(known.resource) && !isUntouched(known.resource, now)) continue;
      this.#limits.delete(id);
      this.#fleet?.remove(id);
    }
  }

  #shown(shownAs: string, resource: LimitResource): LimitResource {
    this.#limits.get(resource.id)!.shownAs = shownAs;
    return resource;
  }

  #rate(id: string, name: RateKind, limit: number, limits: LimitsConfig, kind: ResourceKind | undefined): LimitResource {
    const known = this.#limits.get(id)?.resource;
    const now = this.#clock.now();
    if (known instanceof TokenBucket && limits.window !== 'sliding') {
      known.setLimit(now, limit, limits.burst);
      return known;
    }
    if (known instanceof SlidingWindow && limits.window === 'sliding') {
      known.setLimit(limit);
      return known;
    }
    const { windowMs, measure, kind: ownKind } = KINDS[name];
    const options: LimitOptions = { id, kind: kind ?? ownKind, limit, windowMs, burst: limits.burst, measure };
    return this.#keep(id, this.#makeRate(options, limits.window === 'sliding', now), known === undefined);
  }

  #makeRate(options: LimitOptions, isSliding: boolean, now: Instant): LimitResource {
    const fleet = this.#fleet;
    if (fleet === null) return isSliding ? new SlidingWindow(options) : new TokenBucket(options, now);
    const onShort = (): void => fleet.short(options.id);
    const lease = isSliding
      ? new LeasedWindow(options, now, onShort, (at) => fleet.isCurrent(at))
      : new LeasedBucket(options, now, onShort);
    fleet.add(lease);
    return lease;
  }

  #makeConcurrency(id: string, limit: number): LimitResource {
    const fleet = this.#fleet;
    if (fleet === null) return new ConcurrencyLimiter(id, limit);
    const lease = new LeasedConcurrency(id, limit, this.#clock.now(), () => fleet.short(id));
    fleet.add(lease);
    return lease;
  }

  #keep(id: string, resource: LimitResource, isNew: boolean): LimitResource {
    this.#limits.set(id, { resource, shownAs: id });
    if (isNew) this.onCreated?.(id, resource);
    return resource;
  }

  #concurrency(id: string, limit: number): LimitResource {
    const known = this.#limits.get(id);
    if (known?.resource instanceof ConcurrencyLimiter) {
      known.resource.setLimit(limit);
      return known.resource;
    }
    return this.#keep(id, this.#makeConcurrency(id, limit), known === undefined);
  }
}

/** True for this instance's share of a limit that several instances share. */
export function isLeased(resource: LimitResource): resource is LeasedLimit {
  return resource instanceof LeasedBucket || resource instanceof LeasedWindow || resource instanceof LeasedConcurrency;
}

/** What this instance may use of a shared limit at once, and what of that is left. */
export function reachOf(resource: LeasedLimit, now: Instant): { readonly share: number; readonly available: number } {
  return resource instanceof LeasedConcurrency ? { share: resource.limit, available: resource.available() } : resource.reach(now);
}

/** The whole limit, over all instances. */
export function wholeLimitOf(resource: LimitResource): number {
  return isLeased(resource) && !(resource instanceof LeasedBucket) ? resource.wholeLimit : resource.limit;
}

/** No usage is counted: a new resource would be in the same state. */
export function isUntouched(resource: LimitResource, now: Instant): boolean {
  if (resource instanceof ConcurrencyLimiter) return resource.inUse === 0;
  return resource instanceof TokenBucket ? resource.isFull(now) : resource.isEmpty(now);
}
