/**
 * A store over a connection that may be slow, hang or break. Writes wait in a bounded queue and are committed in groups, one batch at a
 * time; reads use the connection and are overlaid with changes that are not durable yet. Any failure drops the connection: the store is
 * degraded and reconnects with exponential backoff. This is the only recovery path, so it is well tested.
 */
import type { Clock, Timer } from '../core/clock.ts';
import { parseOrUndefined } from '../core/json.ts';
import { inSlices } from '../core/sliced-work.ts';
import { toKey, toPut, toReplacement } from './accept.ts';
import {
  type StoreFailure,
  toStoreFailure,
  withTimeout,
  type Backend,
  type Connection,
  type ReadResult,
  type Selection,
} from './backend.ts';
import { type Change, type Row } from './change.ts';
import { CACHED_RESPONSE_LIMITS, CachedResponseQueue } from './cached-response-queue.ts';
import { HealthBoard } from './health-board.ts';
import type { FlightStore } from './flight-store.ts';
import type { JobStore } from './jobs/job-store.ts';
import type { SharedStore } from './shared-store.ts';
import {
  STORE_LIMITS,
  type ExpiryRange,
  type Scan,
  type Store,
  type StoreCounters,
  type StoreHealth,
  type StoreKind,
  type StoreLimits,
  type WarningListener,
  type WriteOptions,
} from './store.ts';
import { STORE_TIMING, type StoreTiming } from './store-timing.ts';
import { WriteQueue } from './write-queue.ts';

/** A read is repeated if so many batches became durable meanwhile that it can't be completed; more repeats would be needed only by coincidence. */
const readAttemptsMax = 3;

/** Maximum number of callers waiting for a flush; others get `false`. */
const flushWaitersMax = 10_000;

export interface WriteBehindOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  readonly kind: StoreKind;
  /** The name of the store in warnings; contains no secret. */
  readonly name: string;
  /** Its connections store responses; `shared`: other processes add to them. Default false. */
  readonly cachesResponses?: boolean | 'shared';
  /** Closed with the store. Default: none. */
  readonly jobs?: JobStore;
  /** For several instances; closed by the code that opens it. Default: none. */
  readonly shared?: SharedStore;
  readonly flights?: FlightStore;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
  /** Default: `STORE_TIMING`. */
  readonly timing?: Partial<StoreTiming>;
}

/** Resolves when the first connection is open or has failed; never rejects. */
export async function openWriteBehindStore(backend: Backend, options: WriteBehindOptions): Promise<Store> {
  const store = new WriteBehindStore(backend, options);
  await store.opened;
  return store;
}

interface FlushWaiter {
  readonly accepted: number;
  readonly dropped: number;
  readonly end: (durable: boolean) => void;
}

class WriteBehindStore implements Store {
  readonly kind: StoreKind;
  readonly opened: Promise<void>;
  readonly responses: CachedResponseQueue | null;
  readonly jobs: JobStore | null;
  readonly shared?: SharedStore;
  readonly flights?: FlightStore;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #timing: StoreTiming;
  readonly #queue: WriteQueue;
  readonly #board: HealthBoard;
  readonly #flushWaiters = new Set<FlushWaiter>();
  #state: 'connecting' | 'up' | 'down' = 'connecting';
  #connection: Connection | undefined;
  #sending = false;
  #failures = 0;
  #commitTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #nextCheckAt = 0;
  #markOpened: () => void = () => {};
  #closed: Promise<void> | undefined;
  #refused = 0;
  #warnedOfDrops = false;

  constructor(backend: Backend, options: WriteBehindOptions) {
    this.kind = options.kind;
    this.jobs = options.jobs ?? null;
    if (options.shared !== undefined) this.shared = options.shared;
    if (options.flights !== undefined) this.flights = options.flights;
    this.#backend = backend;
    this.#clock = options.clock;
    this.#limits = { ...STORE_LIMITS, ...options.limits };
    this.#timing = { ...STORE_TIMING, ...options.timing };
    this.#queue = new WriteQueue(this.#limits);
    this.#board = new HealthBoard(options);
    this.responses = (options.cachesResponses ?? false) ? this.#createResponseQueue(options.cachesResponses === 'shared') : null;
    this.opened = new Promise((resolve) => {
      this.#markOpened = resolve;
    });
    this.#connect();
  }

  #createResponseQueue(isShared: boolean): CachedResponseQueue {
    return new CachedResponseQueue({
      isShared,
      clock: this.#clock,
      readTimeoutMs: this.#timing.readTimeoutMs,
      writeTimeoutMs: this.#timing.applyTimeoutMs,
      limits: CACHED_RESPONSE_LIMITS,
      onFailure: (connection, failure) => this.#onConnectionLost(connection, failure),
    });
  }

  get health(): StoreHealth {
    return this.#board.health;
  }

  get counters(): StoreCounters {
    const { accepted, coalesced, dropped } = this.#queue;
    return { accepted, coalesced, dropped, refused: this.#refused };
  }

  onHealthChange(listener: (health: StoreHealth) => void): () => void {
    return this.#board.onChange(listener);
  }

  async get(collection: string, key: string): Promise<unknown> {
    const name = toKey(key, this.#limits);
    if (name === undefined) return undefined;
    const row = (await this.#read(collection, name)).rows.get(name);
    return row && parseOrUndefined(row.text);
  }

  async getAll(collection: string): Promise<ReadonlyMap<string, unknown>> {
    const values = new Map<string, unknown>();
    for (const [key, row] of (await this.#read(collection, undefined)).rows) values.set(key, parseOrUndefined(row.text));
    return values;
  }

  async scan(collection: string, within: ExpiryRange): Promise<Scan> {
    const { rows, isComplete } = await this.#read(collection, within);
    const entries = new Map<string, unknown>();
    await inSlices(this.#clock, rows, ([key, row]) => entries.set(key, parseOrUndefined(row.text)));
    return { entries, isComplete };
  }

  put(collection: string, key: string, value: unknown, options: WriteOptions = {}): void {
    this.#write(collection, key, toPut(value, options, this.#limits));
  }

  delete(collection: string, key: string): void {
    this.#write(collection, key, { kind: 'delete' });
  }

  async replace(...[collection, key, value, options, others]: Parameters<Store['replace']>): Promise<boolean> {
    const replacement = toReplacement(collection, key, value, options, others, this.#limits);
    if (this.#state !== 'up' || replacement === undefined) return false;
    if ([...others.keys(), replacement.key].some((name) => this.#queue.isPending(collection, name))) return false;
    const connection = this.#connection as Connection;
    try {
      return await withTimeout(this.#clock, this.#timing.applyTimeoutMs, 'saving', connection.replace(replacement, this.#clock.epochMs()));
    } catch (error) {
      this.#onConnectionLost(connection, toStoreFailure(error));
      return false;
    }
  }

  flush(): Promise<boolean> {
    if (this.#queue.length === 0) return Promise.resolve(true);
    if (this.#state === 'down' || this.#flushWaiters.size >= flushWaitersMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: FlushWaiter = {
        accepted: this.#queue.accepted,
        dropped: this.#queue.dropped,
        end: (durable) => {
          timer.cancel();
          this.#flushWaiters.delete(waiter);
          resolve(durable);
        },
      };
      const timer = this.#clock.schedule(this.#timing.flushTimeoutMs, () => waiter.end(false));
      this.#flushWaiters.add(waiter);
      this.#send();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.jobs?.close();
    if (this.#state === 'down' && this.#queue.length > 0) this.#connect(); // one last attempt
    await this.#ready();
    await this.flush();
    await this.responses?.flush();
    const connection = this.#connection;
    this.#disconnect();
    this.#markOpened();
    if (connection !== undefined) {
      await withTimeout(this.#clock, this.#timing.closeTimeoutMs, 'closing', connection.close()).catch(() => {});
      connection.abandon();
    }
    const { length } = this.#queue;
    if (length > 0) this.#board.warn('the store was closed before all state was saved', { unsaved: length });
  }

  /** Waits for a connection that is being opened, no longer than its timeout. */
  async #ready(): Promise<void> {
    const connection = this.#connection;
    if (this.#state !== 'connecting' || connection === undefined) return;
    await withTimeout(this.#clock, this.#timing.connectTimeoutMs, 'opening', connection.ready).catch(() => {});
  }

  #write(collection: string, key: string, change: Change | undefined): void {
    const name = toKey(key, this.#limits);
    if (this.#closed !== undefined || change === undefined || name === undefined) {
      this.#refused++;
      return;
    }
    const { dropped } = this.#queue;
    this.#queue.add(collection, name, change);
    this.#scheduleCommit();
    if (this.#queue.dropped > dropped && !this.#warnedOfDrops) {
      this.#warnedOfDrops = true;
      this.#board.warn('the store drops its oldest unsaved state: the limit is reached', { entriesMax: this.#limits.entriesMax });
    }
  }

  async #read(collection: string, selection: Selection): Promise<{ rows: ReadonlyMap<string, Row>; isComplete: boolean }> {
    let found: ReadResult = { rows: new Map(), applied: 0 };
    let isComplete = false;
    if (this.#closed !== undefined) return { rows: found.rows, isComplete };
    this.#queue.beginRead();
    for (let attempt = 0; attempt < readAttemptsMax && this.#state === 'up' && !isComplete; attempt++) {
      const connection = this.#connection as Connection;
      try {
        found = await this.#readPages(connection, collection, selection);
        isComplete = found.applied >= this.#queue.knownSince;
      } catch (error) {
        this.#onFailure(connection, error);
        break;
      }
    }
    const rows = this.#queue.overlay(found, collection, selection, this.#clock.epochMs());
    this.#queue.endRead();
    return { rows, isComplete };
  }

  async #readPages(connection: Connection, collection: string, selection: Selection): Promise<ReadResult> {
    const pages = connection.read(collection, selection, this.#clock.epochMs())[Symbol.asyncIterator]();
    const rows = new Map<string, Row>();
    let applied = Infinity;
    for (;;) {
      const page = await withTimeout(this.#clock, this.#timing.readTimeoutMs, 'reading', pages.next());
      if (page.done === true) return { rows, applied };
      // A batch may be applied between two pages: its changes are added to those that the first page lacks.
      applied = Math.min(applied, page.value.applied);
      for (const [key, row] of page.value.rows) rows.set(key, row);
    }
  }

  #connect(): void {
    this.#retryTimer?.cancel();
    this.#state = 'connecting';
    let connection: Connection | undefined = undefined;
    connection = this.#backend.connect((failure) => connection && this.#onConnectionLost(connection, failure));
    this.#connection = connection;
    const made = connection;
    withTimeout(this.#clock, this.#timing.connectTimeoutMs, 'opening', made.ready).then(
      () => this.#connected(made),
      (error: unknown) => this.#onConnectionLost(made, toStoreFailure(error)),
    );
  }

  #connected(connection: Connection): void {
    if (connection !== this.#connection) return;
    this.#state = 'up';
    // With unsaved state, only a successful save proves recovery: a full disk can still be opened.
    this.#send();
    // Cached responses must be available from the first request on.
    if (this.responses === null) this.#markOpened();
    else void this.responses.attach(connection).then(() => this.#markOpened());
    if (!this.#sending) this.#recover();
  }

  check(): void {
    const connection = this.#connection;
    const now = this.#clock.now();
    if (this.#state !== 'up' || connection?.check === undefined || now < this.#nextCheckAt) return;
    this.#nextCheckAt = now + this.#timing.checkIntervalMs;
    withTimeout(this.#clock, this.#timing.readTimeoutMs, 'checking', connection.check()).catch((error: unknown) =>
      this.#onFailure(connection, error),
    );
  }

  async hasJobs(): Promise<boolean> {
    const connection = this.#connection;
    if (this.#state !== 'up' || connection?.hasJobs === undefined) return true;
    try {
      return await withTimeout(this.#clock, this.#timing.readTimeoutMs, 'reading', connection.hasJobs());
    } catch (error) {
      this.#onFailure(connection, error);
      return true;
    }
  }

  #onFailure(connection: Connection, error: unknown): void {
    const failure = toStoreFailure(error);
    // A call may time out behind a slow batch; the batch's own timeout applies then.
    if (failure.fault !== 'timeout' || !this.#sending) this.#onConnectionLost(connection, failure);
  }

  #recover(): void {
    this.#failures = 0;
    this.#warnedOfDrops = false;
    this.#board.recover();
  }

  #onConnectionLost(connection: Connection, failure: StoreFailure): void {
    if (connection !== this.#connection) return;
    this.#disconnect();
    connection.abandon();
    const delayMs = Math.min(this.#timing.retryDelayMs * 2 ** this.#failures, this.#timing.retryDelayMaxMs);
    this.#failures++;
    if (this.#closed === undefined) this.#retryTimer = this.#clock.schedule(delayMs, () => this.#connect());
    for (const waiter of this.#flushWaiters) waiter.end(false);
    this.#markOpened();
    this.#board.degrade(failure);
  }

  #disconnect(): void {
    this.#connection = undefined;
    this.responses?.detach();
    this.#state = 'down';
    this.#sending = false;
    this.#commitTimer?.cancel();
    this.#commitTimer = undefined;
    this.#retryTimer?.cancel();
  }

  #scheduleCommit(): void {
    if (this.#state !== 'up' || this.#sending || this.#commitTimer !== undefined) return;
    this.#commitTimer = this.#clock.schedule(this.#timing.groupCommitMs, () => this.#send());
  }

  #send(): void {
    if (this.#state !== 'up' || this.#sending) return;
    this.#commitTimer?.cancel();
    this.#commitTimer = undefined;
    const batch = this.#queue.take();
    if (batch === undefined) return;
    this.#sending = true;
    const connection = this.#connection as Connection;
    withTimeout(this.#clock, this.#timing.applyTimeoutMs, 'saving', connection.apply(batch, this.#clock.epochMs())).then(
      () => this.#sent(connection),
      (error: unknown) => this.#onConnectionLost(connection, toStoreFailure(error)),
    );
  }

  #sent(connection: Connection): void {
    if (connection !== this.#connection) return;
    this.#sending = false;
    this.#queue.settle();
    this.#endFlushes();
    if (this.#flushWaiters.size > 0) this.#send();
    else if (this.#queue.length > 0) this.#scheduleCommit();
    this.#recover();
  }

  #endFlushes(): void {
    if (this.#flushWaiters.size === 0) return;
    const unsaved = this.#queue.oldestUnsaved();
    for (const waiter of this.#flushWaiters) {
      if (unsaved > waiter.accepted) waiter.end(this.#queue.dropped === waiter.dropped);
    }
  }
}
