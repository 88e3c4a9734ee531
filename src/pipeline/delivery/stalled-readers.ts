/**
 * Answers whose callers are behind: back-pressure keeps their upstream calls open, and with them the places of a limit on concurrency.
 *
 * A caller may be behind for as long as that costs no one else. Where another request waits for the place, the answer that has stood
 * still longest is broken off once its caller has taken nothing for a few seconds, or has not caught up for longer. A client whose
 * answers gave way within the last minute gets less time.
 */
import type { Clock, Instant } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Permit } from '../../core/permit.ts';
import type { Resource } from '../../core/resource.ts';

/** How often they are looked at, in milliseconds. */
const CHECK_INTERVAL_MS = 250;

/** Without a byte taken for so long an answer gives way to a request that waits for its place, in milliseconds. */
export const STALLED_MAX_MS = 5_000;

/** The same where another answer to the same client gave way within `REPEATED_MS`. */
export const STALLED_AGAIN_MAX_MS = 1_000;
const REPEATED_MS = 60_000;

/** A caller that takes something but is behind for so long gives way too, in milliseconds. */
export const BEHIND_MAX_MS = 20_000;

/** Beyond so many clients whose answers gave way, the one that did so first is forgotten. */
const CLIENTS_MAX = 256;

export interface StalledReader {
  readonly client: string;
  readonly permit: Permit;
  /** True if its caller took anything since this was last asked. */
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
  /** When an answer to the client last gave way. */
  readonly #interruptedAt = new Map<string, Instant>();
  #isScheduled = false;

  /** `isWaitedFor`: whether a request waits for a place of this resource. */
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

  /** Whether one of them holds a place of one of these limits on concurrency. */
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
    const wanted = reader.permit.resources.find(
      (resource) => resource.kind === 'concurrency' && !freed.has(resource) && this.#isWaitedFor(resource),
    );
    if (wanted === undefined) return;
    freed.add(wanted);
    this.#stalls.delete(reader);
    this.#interruptedAt.delete(reader.client);
    this.#interruptedAt.set(reader.client, now);
    if (this.#interruptedAt.size > CLIENTS_MAX) this.#interruptedAt.delete(this.#interruptedAt.keys().next().value!);
    reader.interrupt(
      new BreakwaterError('stream_interrupted', 'the caller did not read its answer while other requests waited for its place'),
    );
  }
}
