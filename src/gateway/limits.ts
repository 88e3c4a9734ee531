/** From configured limits to resources. */
import type { Clock } from '../core/clock.ts';
import type { TokenUsage } from '../core/facts.ts';
import type { Need, Resource, ResourceKind } from '../core/resource.ts';
import { ConcurrencyLimiter } from '../policy/concurrency-limiter/concurrency-limiter.ts';
import { SlidingWindow } from '../policy/rate-limiter/sliding-window.ts';
import { TokenBucket } from '../policy/rate-limiter/token-bucket.ts';
import type { LimitMeasure, LimitOptions } from '../policy/rate-limiter/token-bucket.ts';
import type { LimitsConfig } from './config/index.ts';

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

/**
 * Limits by their id, the same object for the same id and settings, so that what they know outlives a reload. Where a
 * setting changed, the new limit goes on from the old one's level.
 */
export class LimitRegistry {
  readonly #clock: Clock;
  readonly #limits = new Map<string, { settings: string; resource: LimitResource }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One resource for each limit that is set. `scope` names what they belong to; `kind` replaces their own kind. */
  make(scope: string, limits: LimitsConfig, kind?: ResourceKind): Resource[] {
    const made: Resource[] = [];
    for (const name of Object.keys(KINDS) as RateKind[]) {
      const limit = limits[name];
      if (limit !== undefined) made.push(this.#rate(`${scope}:${name}`, name, limit, limits, kind));
    }
    if (limits.concurrency !== undefined) made.push(this.#concurrency(`${scope}:concurrency`, limits.concurrency));
    return made;
  }

  all(): IterableIterator<[string, { readonly resource: LimitResource }]> {
    return this.#limits.entries();
  }

  get(id: string): LimitResource | undefined {
    return this.#limits.get(id)?.resource;
  }

  #rate(id: string, name: RateKind, limit: number, limits: LimitsConfig, kind: ResourceKind | undefined): Resource {
    const settings = `${limit} ${limits.burst} ${limits.window} ${kind ?? ''}`;
    const known = this.#limits.get(id);
    if (known?.settings === settings) return known.resource;
    const { windowMs, measure, kind: ownKind } = KINDS[name];
    const options: LimitOptions = { id, kind: kind ?? ownKind, limit, windowMs, burst: limits.burst, measure };
    const resource = limits.window === 'sliding' ? new SlidingWindow(options) : new TokenBucket(options, this.#clock.now());
    this.#carryOver(known?.resource, resource);
    this.#limits.set(id, { settings, resource });
    return resource;
  }

  #carryOver(from: LimitResource | undefined, to: LimitResource): void {
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    if (from instanceof TokenBucket && to instanceof TokenBucket) to.restore(now, epochMs, from.save(now, epochMs));
    if (from instanceof SlidingWindow && to instanceof SlidingWindow) to.restore(now, epochMs, from.save(now, epochMs));
  }

  #concurrency(id: string, limit: number): Resource {
    const known = this.#limits.get(id);
    if (known?.resource instanceof ConcurrencyLimiter) {
      known.resource.setLimit(limit);
      return known.resource;
    }
    const resource = new ConcurrencyLimiter(id, limit);
    this.#limits.set(id, { settings: '', resource });
    return resource;
  }
}
