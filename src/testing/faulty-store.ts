/**
 * A store that is slow, fails, freezes and loses its connection as told, in virtual time and with seeded chance: the
 * real queue, group commit and healing over an imaginary disk. What was committed outlives the store that wrote it.
 */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { StoreFailure, type Backend, type Batch, type Connection, type ReadResult } from '../store/backend.ts';
import { isExpired, rowAfter, type Row } from '../store/change.ts';
import type { Store, StoreLimits, WarningListener } from '../store/store.ts';
import type { StoreFault } from '../store/store-fault.ts';
import { openWriteBehindStore, type StoreTiming } from '../store/write-behind.ts';

export interface StoreFaults {
  /** Each call takes between these, in milliseconds. Default [0, 0]. */
  readonly delayMs: readonly [number, number];
  /** The share of calls that fail before they do anything. Default 0. */
  readonly failureRatio: number;
  /** The share of commits that happen, but whose answer is an error. Default 0. */
  readonly lostAnswerRatio: number;
  /** The share of calls that never answer; half of them do their work. Default 0. */
  readonly freezeRatio: number;
  /** No connection can be made for this reason. Default null. */
  readonly refuse: StoreFault | null;
}

const noFaults: StoreFaults = { delayMs: [0, 0], failureRatio: 0, lostAnswerRatio: 0, freezeRatio: 0, refuse: null };

export interface FaultyDiskOptions {
  readonly clock: Clock;
  readonly random: Random;
}

export interface FaultyDisk {
  /** Replaces the faults named; the others stay. */
  setFaults(faults: Partial<StoreFaults>): void;
  /** Ends all trouble that is to come; frozen calls stay frozen. */
  heal(): void;
  /** Cuts the connections that stand. */
  cut(): void;
  /** For one store; a restart takes a new one. */
  createBackend(): Backend;
  /** Batches committed so far. */
  readonly commits: number;
  /** Connections asked for so far. */
  readonly connections: number;
}

export interface FaultyStoreOptions {
  readonly clock: Clock;
  readonly disk: FaultyDisk;
  readonly onWarning?: WarningListener;
  readonly limits?: Partial<StoreLimits>;
  readonly timing?: Partial<StoreTiming>;
}

/** Opens a store over the disk; open another over the same disk for a restart. While the disk delays, time must move on for it to resolve. */
export function openFaultyStore(options: FaultyStoreOptions): Promise<Store> {
  return openWriteBehindStore(options.disk.createBackend(), {
    onWarning: () => {},
    ...options,
    kind: 'memory',
    name: 'the faulty store',
  });
}

export function createFaultyDisk(options: FaultyDiskOptions): FaultyDisk {
  return new Disk(options);
}

interface Standing {
  readonly onLost: (failure: StoreFailure) => void;
  /** Rejects every call that waits, and all to come. */
  readonly end: (failure: StoreFailure) => void;
  readonly ended: Promise<never>;
}

class Disk implements FaultyDisk {
  commits = 0;
  connections = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #rows = new Map<string, Map<string, Row>>();
  readonly #standing = new Set<Standing>();
  #faults = noFaults;

  constructor({ clock, random }: FaultyDiskOptions) {
    this.#clock = clock;
    this.#random = random;
  }

  setFaults(faults: Partial<StoreFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  heal(): void {
    this.#faults = noFaults;
  }

  cut(): void {
    for (const standing of this.#standing) {
      const failure = new StoreFailure('crashed', 'the connection was cut');
      this.#standing.delete(standing);
      standing.end(failure);
      standing.onLost(failure);
    }
  }

  createBackend(): Backend {
    const writer = { applied: 0 };
    return { connect: (onLost) => this.#connect(writer, onLost) };
  }

  #connect(writer: { applied: number }, onLost: (failure: StoreFailure) => void): Connection {
    this.connections++;
    const { promise: ended, reject: end } = Promise.withResolvers<never>();
    ended.catch(() => {}); // heard by those that wait, if any
    const standing: Standing = { onLost, end, ended };
    this.#standing.add(standing);
    // Work that was begun may still be done after its connection has ended, as in a thread that hangs in the disk.
    const call = <T>(work: () => T): Promise<T> => Promise.race([ended, this.#call(work)]);
    const letGo = (): void => {
      this.#standing.delete(standing);
      end(new StoreFailure('unavailable', 'the connection was given up'));
    };
    return {
      ready: call(() => {
        const { refuse } = this.#faults;
        if (refuse !== null) throw new StoreFailure(refuse, 'refused as told');
      }),
      apply: (batch) =>
        call(() => {
          this.#commit(writer, batch);
          if (this.#random.next() < this.#faults.lostAnswerRatio) throw new StoreFailure('io_error', 'the answer was lost as told');
        }),
      read: (collection, key, nowMs) => call(() => this.#read(writer, collection, key, nowMs)),
      close: () => call(() => void this.#standing.delete(standing)),
      abandon: letGo,
    };
  }

  async #call<T>(work: () => T): Promise<T> {
    const { delayMs, failureRatio, freezeRatio } = this.#faults;
    const freezes = this.#random.next() < freezeRatio;
    const fails = this.#random.next() < failureRatio;
    const works = !freezes || this.#random.next() < 0.5;
    await this.#delay(delayMs[0] + this.#random.next() * (delayMs[1] - delayMs[0]));
    if (fails) throw new StoreFailure('io_error', 'failed as told');
    const result = works ? work() : undefined;
    if (freezes) return new Promise(() => {});
    return result as T;
  }

  async #delay(delayMs: number): Promise<void> {
    if (delayMs <= 0) return;
    await new Promise<void>((resolve) => {
      this.#clock.schedule(delayMs, resolve);
    });
  }

  #commit(writer: { applied: number }, batch: Batch): void {
    if (batch.sequence <= writer.applied) return;
    for (const { collection, key, change } of batch.changes) {
      const rows = this.#rows.get(collection) ?? new Map<string, Row>();
      this.#rows.set(collection, rows);
      const row = rowAfter(change);
      if (row === undefined) rows.delete(key);
      else rows.set(key, row);
    }
    writer.applied = batch.sequence;
    this.commits++;
  }

  #read(writer: { applied: number }, collection: string, key: string | undefined, nowMs: number): ReadResult {
    const rows = [...(this.#rows.get(collection) ?? [])].filter(([name, row]) => {
      return (key === undefined || name === key) && !isExpired(row, nowMs);
    });
    return { rows: new Map(rows), applied: writer.applied };
  }
}
