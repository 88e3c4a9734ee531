import type { Instant } from '../../core/clock.ts';
import type { Need, Resource } from '../../core/resource.ts';

/** More than any level that a limit may have. */
const MANY = 1e9;
/** A limit that changes is noticed after so long, in milliseconds. */
const KNOWN_MS = 1_000;

function times({ requests, inputTokens, outputTokens }: Need, many: number): Need {
  return { requests: requests * many, inputTokens: inputTokens * many, outputTokens: outputTokens * many };
}

/** How long one unit of a resource takes to come, once there is nothing left. */
export class UnitTime {
  readonly #resource: Resource;
  #knownUntil: Instant = -Infinity;
  /** As it was last reckoned, in milliseconds. */
  lastMs = 0;

  constructor(resource: Resource) {
    this.#resource = resource;
  }

  ms(now: Instant, need: Need, amount: number): number {
    if (now < this.#knownUntil) return this.lastMs;
    const [some, more] = [times(need, MANY), times(need, 2 * MANY)];
    this.lastMs = (this.#resource.earliestAfter!(now, more, need) - this.#resource.earliestAfter!(now, some, need)) / (MANY * amount);
    this.#knownUntil = now + KNOWN_MS;
    return this.lastMs;
  }

  /** What is there beyond `need`, so that others need not wait for it. */
  freeBeside(now: Instant, need: Need, amount: number, unitMs: number): number {
    const at = this.#resource.earliestAfter!(now, times(need, MANY), need);
    return Math.max(0, MANY * amount - (at - now) / unitMs);
  }
}
