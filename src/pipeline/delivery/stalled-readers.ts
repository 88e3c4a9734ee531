/**
 * Responses whose callers are behind. Back-pressure keeps their upstream calls open, and so occupies places of concurrency limits.
 *
 * This is tolerated until another request waits for such a place. Then the response that has stalled longest is ended, once its caller has
 * read nothing for a few seconds, or has been behind for longer. A client whose responses were ended within the last minute gets less time.
 */
import type { Clock, Instant } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Permit } from '../../core/permit.ts';
import type { Resource } from '../../core/resource.ts';

/** Interval of the checks, in milliseconds. */
const CHECK_INTERVAL_MS = 250;

/** How long a caller may read nothing while a request waits for the place, in milliseconds. */
export const STALLED_MAX_MS = 5_000;

/** The same if another response to the same client was ended within `REPEATED_MS`. */
export const STALLED_AGAIN_MAX_MS = 1_000;
const REPEATED_MS = 60_000;

/** How long a caller that reads something may be behind, in milliseconds. */
export const BEHIND_MAX_MS = 20_000;

/** Number of clients remembered for ended responses; the oldest is forgotten first. */
const CLIENTS_MAX = 256;

export interface StalledReader {
  readonly client: string;
  readonly permit: Permit;
  /** True if its caller has read anything since the last call. */
  hasMoved(): boolean;
  interrupt(error: BreakwaterError): void;
}

interface Stall {
  readonly since: Instant;
  movedAt: Instant;
}

export class StalledReaders {
  readonly #clock: Clock;
  readonly #isWaitedFor: (resource: Resource) => boolean;
  readonly #stalls = new Map<StalledReader, Stall>();
  /** When a response to the client was last ended. */
  readonly #interruptedAt = new Map<string, Instant>();
  #isScheduled = false;

  /** `isWaitedFor`: whether a request is waiting for this resource. */
  constructor(clock: Clock, isWaitedFor: (resource: Resource) => boolean) {
    this.#clock = clock;
    this.#isWaitedFor = isWaitedFor;
  }

  add(reader: StalledReader): void {
    const now = this.#clock.now();
    this.#stalls.set(reader, { since: now, movedAt: now });
    this.#schedule();
  }

  remove(reader: StalledReader): void {
    this.#stalls.delete(reader);
  }

  /** True if one of them holds a place of one of these concurrency limits. */
  holdsAny(resources: readonly Resource[]): boolean {
    for (const { permit } of this.#stalls.keys()) {
      if (permit.resources.some((resource) => resource.kind === 'concurrency' && resources.includes(resource))) return true;
    }
    return false;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.schedule(CHECK_INTERVAL_MS, this.#check);
  }

  readonly #check = (): void => {
    this.#isScheduled = false;
    const now = this.#clock.now();
    const freed = new Set<Resource>();
    for (const [reader, stall] of this.#stalls) {
      if (reader.hasMoved()) stall.movedAt = now;
      if (this.#mustYield(now, reader, stall)) this.#makeRoom(now, reader, freed);
    }
    if (this.#stalls.size > 0) this.#schedule();
  };

  #mustYield(now: Instant, { client }: StalledReader, { since, movedAt }: Stall): boolean {
    const isRepeated = now - (this.#interruptedAt.get(client) ?? -Infinity) < REPEATED_MS;
    return now - movedAt >= (isRepeated ? STALLED_AGAIN_MAX_MS : STALLED_MAX_MS) || now - since >= BEHIND_MAX_MS;
  }

  /** Frees one place of each resource at a time. */
  #makeRoom(now: Instant, reader: StalledReader, freed: Set<Resource>): void {
    const needed = reader.permit.resources.find(
      (resource) => resource.kind === 'concurrency' && !freed.has(resource) && this.#isWaitedFor(resource),
    );
    if (needed === undefined) return;
    freed.add(needed);
    this.#stalls.delete(reader);
    this.#interruptedAt.delete(reader.client);
    this.#interruptedAt.set(reader.client, now);
    if (this.#interruptedAt.size > CLIENTS_MAX) this.#interruptedAt.delete(this.#interruptedAt.keys().next().value!);
    reader.interrupt(
      new BreakwaterError('stream_interrupted', 'the caller did not read its response while other requests waited for its slot'),
    );
  }
}
