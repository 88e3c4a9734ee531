import type { Clock } from '../../core/clock.ts';
import { parseOrUndefined } from '../../core/json.ts';
import { inSlices } from '../../core/sliced-work.ts';
import { toKey, toPut, toReplacement } from '../accept.ts';
import { isSelected } from '../backend.ts';
import { BoundedEntries } from '../bounded-entries.ts';
import { isExpired, rowAfter, type Change, type Row } from '../change.ts';
import type { JobStore } from '../jobs/job-store.ts';
import type { SharedStore } from '../shared-store.ts';
import {
  STORE_LIMITS,
  type ExpiryRange,
  type Scan,
  type Store,
  type StoreCounters,
  type StoreHealth,
  type StoreLimits,
  type WriteOptions,
} from '../store.ts';

/** Minimum interval between sweeps of expired entries. */
const sweepIntervalMs = 60_000;

import { createMemoryJobs } from './memory-jobs.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
  /** Limits are shared through it. Default: none. */
  readonly shared?: SharedStore;
}

/** State that ends with the process. At a limit the least recently written entry is dropped. */
export function createMemoryStore(options: MemoryStoreOptions): Store {
  return new MemoryStore(options);
}

class MemoryStore implements Store {
  readonly kind = 'memory';
  readonly health: StoreHealth = { state: 'ok' };
  readonly responses = null;
  readonly shared?: SharedStore;
  readonly jobs: JobStore = createMemoryJobs();
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #rows: BoundedEntries<Row>;
  #accepted = 0;
  #coalesced = 0;
  #refused = 0;
  #sweptAtMs: number;
  #closed = false;

  constructor({ clock, limits, shared }: MemoryStoreOptions) {
    if (shared !== undefined) this.shared = shared;
    this.#clock = clock;
    this.#limits = { ...STORE_LIMITS, ...limits };
    this.#rows = new BoundedEntries({ ...this.#limits, sizeOf: (row) => row.text.length });
    this.#sweptAtMs = clock.epochMs();
  }

  get counters(): StoreCounters {
    return { accepted: this.#accepted, coalesced: this.#coalesced, dropped: this.#rows.dropped, refused: this.#refused };
  }

  onHealthChange(): () => void {
    return () => {}; // memory never degrades
  }

  async get(collection: string, key: string): Promise<unknown> {
    const name = toKey(key, this.#limits);
    const row = name === undefined ? undefined : this.#rows.get(collection, name);
    return row === undefined || isExpired(row, this.#clock.epochMs()) ? undefined : parseOrUndefined(row.text);
  }

  async getAll(collection: string): Promise<ReadonlyMap<string, unknown>> {
    const nowMs = this.#clock.epochMs();
    const found = new Map<string, unknown>();
    for (const entry of this.#rows.values()) {
      if (entry.collection === collection && !isExpired(entry.value, nowMs)) found.set(entry.key, parseOrUndefined(entry.value.text));
    }
    return found;
  }

  async scan(collection: string, within: ExpiryRange): Promise<Scan> {
    const nowMs = this.#clock.epochMs();
    const entries = new Map<string, unknown>();
    await inSlices(this.#clock, [...this.#rows.values()], ({ collection: own, key, value }) => {
      if (own === collection && !isExpired(value, nowMs) && isSelected(within, key, value)) entries.set(key, parseOrUndefined(value.text));
    });
    return { entries, isComplete: !this.#closed };
  }

  async replace(...[collection, key, value, options, others]: Parameters<Store['replace']>): Promise<boolean> {
    const replacement = toReplacement(collection, key, value, options, others, this.#limits);
    if (this.#closed || replacement === undefined) return false;
    if (replacement.replaced.some((other) => this.#rows.get(collection, other.key)?.text !== other.text)) return false;
    for (const other of replacement.replaced) this.#rows.delete(collection, other.key);
    this.#rows.set(collection, replacement.key, replacement.row);
    return true;
  }

  put(collection: string, key: string, value: unknown, options: WriteOptions = {}): void {
    this.#write(collection, key, toPut(value, options, this.#limits));
  }

  delete(collection: string, key: string): void {
    this.#write(collection, key, { kind: 'delete' });
  }

  async flush(): Promise<boolean> {
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#rows.takeOldest() !== undefined);
    await this.jobs.close();
  }

  #write(collection: string, key: string, change: Change | undefined): void {
    const name = toKey(key, this.#limits);
    if (this.#closed || change === undefined || name === undefined) {
      this.#refused++;
      return;
    }
    this.#sweep(this.#clock.epochMs());
    const after = rowAfter(change);
    this.#accepted++;
    if (this.#rows.get(collection, name) !== undefined) this.#coalesced++;
    if (after === undefined) this.#rows.delete(collection, name);
    else this.#rows.set(collection, name, after);
  }

  #sweep(nowMs: number): void {
    if (Math.abs(nowMs - this.#sweptAtMs) < sweepIntervalMs) return;
    this.#sweptAtMs = nowMs;
    for (const { collection, key, value } of this.#rows.values()) {
      if (isExpired(value, nowMs)) this.#rows.delete(collection, key);
    }
  }
}
