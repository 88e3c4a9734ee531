/**
 * A store with configurable delays, failures, freezes and lost connections, in virtual time and with seeded randomness:
 * the real queue, group commit and recovery over an in-memory disk. Committed data outlives the store that wrote it.
 */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import {
  StoreFailure,
  isSelected,
  type Backend,
  type Batch,
  type Connection,
  type ReadResult,
  type Replacement,
  type Selection,
} from '../store/backend.ts';
import { isExpired, rowAfter, type Row } from '../store/change.ts';
import type { Store, StoreLimits, WarningListener } from '../store/store.ts';
import type { StoreFault } from '../store/store-fault.ts';
import type { StoreTiming } from '../store/store-timing.ts';
import { openWriteBehindStore } from '../store/write-behind.ts';

export interface StoreFaults {
  /** Range of the duration of each call, in milliseconds. Default [0, 0]. */
  readonly delayMs: readonly [number, number];
  /** Share of calls that fail without effect. Default 0. */
  readonly failureRatio: number;
  /** Share of commits that take effect but return an error. Default 0. */
  readonly lostReplyRatio: number;
  /** Share of calls that never return; half of them take effect. Default 0. */
  readonly freezeRatio: number;
  /** Reason for which every connection is refused. Default null. */
  readonly refuse: StoreFault | null;
}

const noFaults: StoreFaults = { delayMs: [0, 0], failureRatio: 0, lostReplyRatio: 0, freezeRatio: 0, refuse: null };

export interface FaultyDiskOptions {
  readonly clock: Clock;
  readonly random: Random;
}

export interface FaultyDisk {
  /** Replaces the given faults; the others are unchanged. */
  setFaults(faults: Partial<StoreFaults>): void;
  /** Removes all faults; calls that are already frozen stay frozen. */
  heal(): void;
  /** Cuts all open connections. */
  cut(): void;
  /** A backend for one store; a restart needs a new one. */
  createBackend(): Backend;
  /** Batches committed so far. */
  readonly commits: number;
  /** Connections requested so far. */
  readonly connections: number;
}

export interface FaultyStoreOptions {
  readonly clock: Clock;
  readonly disk: FaultyDisk;
  readonly onWarning?: WarningListener;
  readonly limits?: Partial<StoreLimits>;
  readonly timing?: Partial<StoreTiming>;
}

/**
 * Opens a store on the disk; open another on the same disk to simulate a restart. If the disk has a delay, time must be
 * advanced for the promise to resolve.
 */
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
  /** Rejects every pending call, and all later ones. */
  readonly end: (failure: StoreFailure) => void;
  readonly ended: Promise<never>;
}

async function* onePage(page: Promise<ReadResult>): AsyncGenerator<ReadResult> {
  yield await page;
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
    ended.catch(() => {}); // Avoids an unhandled rejection if no call is pending.
    const standing: Standing = { onLost, end, ended };
    this.#standing.add(standing);
    // Started work may still complete after its connection has ended, as in a thread blocked on the disk.
    const call = <T>(work: () => T): Promise<T> => Promise.race([ended, this.#call(work)]);
    const letGo = (): void => {
      this.#standing.delete(standing);
      end(new StoreFailure('unavailable', 'the connection was closed'));
    };
    return {
      ready: call(() => {
        const { refuse } = this.#faults;
        if (refuse !== null) throw new StoreFailure(refuse, 'connection refused by the configured fault');
      }),
      apply: (batch) =>
        call(() => {
          this.#commit(writer, batch);
          if (this.#random.next() < this.#faults.lostReplyRatio)
            throw new StoreFailure('io_error', 'the reply was lost by the configured fault');
        }),
      read: (collection, selection, nowMs) => onePage(call(() => this.#read(writer, collection, selection, nowMs))),
      replace: (replacement) => call(() => this.#replace(replacement)),
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
    if (fails) throw new StoreFailure('io_error', 'failed by the configured fault');
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

  #replace({ collection, key, row, replaced }: Replacement): boolean {
    const rows = this.#rows.get(collection);
    if (rows === undefined || replaced.some((other) => rows.get(other.key)?.text !== other.text)) return false;
    for (const other of replaced) rows.delete(other.key);
    rows.set(key, row);
    return true;
  }

  #read(writer: { applied: number }, collection: string, selection: Selection, nowMs: number): ReadResult {
    const rows = [...(this.#rows.get(collection) ?? [])].filter(
      ([name, row]) => isSelected(selection, name, row) && !isExpired(row, nowMs),
    );
    return { rows: new Map(rows), applied: writer.applied };
  }
}
