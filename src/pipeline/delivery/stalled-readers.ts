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
const LOOK_EVERY_MS = 250;

/** Without a byte taken for so long an answer gives way to a request that waits for its place, in milliseconds. */
export const GIVES_WAY_AFTER_MS = 5_000;

/** The same where another answer to the same client gave way within `REPEATED_MS`. */
export const GIVES_WAY_AGAIN_AFTER_MS = 1_000;
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
  giveWay(error: BreakwaterError): void;
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
  readonly #gaveWayAt = new Map<string, Instant>();
  #isLooking = false;

  /** `isWaitedFor`: whether a request waits for a place of this resource. */
  constructor(clock: Clock, isWaitedFor: (resource: Resource) => boolean) {
    this.#clock = clock;
    this.#isWaitedFor = isWaitedFor;
  }

  add(reader: StalledReader): void {
    const now = this.#clock.now();
    this.#stalls.set(reader, { since: now, movedAt: now });
    this.#lookLater();
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

  #lookLater(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.schedule(LOOK_EVERY_MS, this.#look);
  }

  readonly #look = (): void => {
    this.#isLooking = false;
    const now = this.#clock.now();
    const freed = new Set<Resource>();
    for (const [reader, stall] of this.#stalls) {
      if (reader.hasMoved()) stall.movedAt = now;
      if (this.#givesWay(now, reader, stall)) this.#makeRoom(now, reader, freed);
    }
    if (this.#stalls.size > 0) this.#lookLater();
  };

  #givesWay(now: Instant, { client }: StalledReader, { since, movedAt }: Stall): boolean {
    const isRepeated = now - (this.#gaveWayAt.get(client) ?? -Infinity) < REPEATED_MS;
    return now - movedAt >= (isRepeated ? GIVES_WAY_AGAIN_AFTER_MS : GIVES_WAY_AFTER_MS) || now - since >= BEHIND_MAX_MS;
  }

  /** Frees one place of each resource at a time. */
  #makeRoom(now: Instant, reader: StalledReader, freed: Set<Resource>): void {
    const wanted = reader.permit.resources.find(
      (resource) => resource.kind === 'concurrency' && !freed.has(resource) && this.#isWaitedFor(resource),
    );
    if (wanted === undefined) return;
    freed.add(wanted);
    this.#stalls.delete(reader);
    this.#gaveWayAt.delete(reader.client);
    this.#gaveWayAt.set(reader.client, now);
    if (this.#gaveWayAt.size > CLIENTS_MAX) this.#gaveWayAt.delete(this.#gaveWayAt.keys().next().value!);
    reader.giveWay(
      new BreakwaterError('stream_interrupted', 'the caller did not read its answer while other requests waited for its place'),
    );
  }
}
