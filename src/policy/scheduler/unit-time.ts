import type { Instant } from '../../core/clock.ts';
import type { Need, Resource } from '../../core/resource.ts';

/** More than the level of any limit. */
const MANY = 1e9;
/** How long a result is cached, in milliseconds; changed limits take effect after that. */
const CACHED_MS = 1_000;

function times({ requests, inputTokens, outputTokens }: Need, many: number): Need {
  return { requests: requests * many, inputTokens: inputTokens * many, outputTokens: outputTokens * many };
}

/** The time in which one unit of a resource refills, measured on an empty one. */
export class UnitTime {
  readonly #resource: Resource;
  #cachedUntil: Instant = -Infinity;
  /** The last result, in milliseconds. */
  lastMs = 0;

  constructor(resource: Resource) {
    this.#resource = resource;
  }

  ms(now: Instant, need: Need, amount: number): number {
    if (now < this.#cachedUntil) return this.lastMs;
    const [some, more] = [times(need, MANY), times(need, 2 * MANY)];
    this.lastMs = (this.#resource.earliestAfter!(now, more, need) - this.#resource.earliestAfter!(now, some, need)) / (MANY * amount);
    this.#cachedUntil = now + CACHED_MS;
    return this.lastMs;
  }

  /** The amount available beyond `need` without a wait. */
  freeBeside(now: Instant, need: Need, amount: number, unitMs: number): number {
    const at = this.#resource.earliestAfter!(now, times(need, MANY), need);
    return Math.max(0, MANY * amount - (at - now) / this.#currentMs(now, need, amount, { at, unitMs }));
  }

  /** The rate of a pool changes with the number of instances; with a cached one, that would look like an empty or a full pool. */
  #currentMs(now: Instant, need: Need, amount: number, { at, unitMs }: { at: Instant; unitMs: number }): number {
    if (this.#resource.isPooled !== true) return unitMs;
    return (this.#resource.earliestAfter!(now, times(need, 2 * MANY), need) - at) / (MANY * amount);
  }
}
