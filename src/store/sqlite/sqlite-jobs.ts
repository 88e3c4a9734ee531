/**
 * Jobs in the database file, with their own connection and thread: an upload must not delay small state, and confirmed calls must survive
 * a power failure. Opened on first use and closed when idle. A failed call drops the connection; the next call after a pause opens a new
 * one, and until then calls fail immediately with the same error.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { StoreFailure, toStoreFailure, withTimeout, type Backend, type Connection } from '../backend.ts';
import { LogSync } from './log-sync.ts';
import { createJobStore, type GroupRunner } from '../jobs/job-calls.ts';
import type { JobStore } from '../jobs/job-store.ts';
import type { JobCall, JobOutcome } from '../jobs/job-call.ts';

/** Timeout of a group: allows for a slow disk and for another process that locks the file. */
const GROUP_TIMEOUT_MS = 30_000;
const OPEN_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000;
/** Idle time after which the thread is ended, since it takes more than 20 MB. The next call starts another one. */
const IDLE_MS = 10_000;
/** The same after a runner has unregistered, since it has no jobs. */
const IDLE_WITHOUT_RUNNER_MS = 200;

/** `path`: the database file. */
export function createSqliteJobs(path: string, backend: Backend, clock: Clock): JobStore {
  return createJobStore(new BackendRunner(path, backend, clock));
}

class BackendRunner implements GroupRunner {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #path: string;
  /** The current connection's log; null if the path is an SQLite `file:` URI. */
  #log: LogSync | null = null;
  #connection: Connection | null = null;
  #failure: StoreFailure | null = null;
  #retryAt = -Infinity;
  #closed = false;
  #rest: Timer | null = null;

  constructor(path: string, backend: Backend, clock: Clock) {
    this.#path = path;
    this.#backend = backend;
    this.#clock = clock;
  }

  async run(calls: readonly JobCall[]): Promise<readonly JobOutcome[]> {
    this.#rest?.cancel();
    const connection = await this.#open();
    try {
      return await withTimeout(this.#clock, GROUP_TIMEOUT_MS, 'saving jobs', connection.runJobs!(calls));
    } catch (error) {
      throw this.#onConnectionLost(connection, toStoreFailure(error));
    } finally {
      const idleMs = calls.at(-1)?.method === 'unregister' ? IDLE_WITHOUT_RUNNER_MS : IDLE_MS;
      this.#rest = this.#closed ? null : this.#clock.schedule(idleMs, () => void this.#disconnect());
    }
  }

  sync(): Promise<void> {
    return this.#log === null ? Promise.resolve() : withTimeout(this.#clock, GROUP_TIMEOUT_MS, 'syncing the log', this.#log.sync());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#rest?.cancel();
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const [connection, log] = [this.#connection, this.#log];
    this.#connection = this.#log = null;
    if (connection === null) return;
    if (log !== null) await withTimeout(this.#clock, CLOSE_TIMEOUT_MS, 'closing the log', log.close()).catch(() => {});
    await withTimeout(this.#clock, CLOSE_TIMEOUT_MS, 'closing', connection.close()).catch(() => connection.abandon());
  }

  async #open(): Promise<Connection> {
    if (this.#closed) throw new StoreFailure('unavailable', 'the store is closed');
    if (this.#connection !== null) return this.#connection;
    if (this.#failure !== null && this.#clock.now() < this.#retryAt) throw this.#failure;
    const connection = this.#backend.connect((failure) => void this.#onConnectionLost(connection, failure));
    this.#connection = connection;
    this.#log = this.#path.startsWith('file:') ? null : new LogSync(`${this.#path}-wal`);
    try {
      await withTimeout(this.#clock, OPEN_TIMEOUT_MS, 'opening the database', connection.ready);
    } catch (error) {
      throw this.#onConnectionLost(connection, toStoreFailure(error));
    }
    return connection;
  }

  #onConnectionLost(connection: Connection, failure: StoreFailure): StoreFailure {
    if (this.#connection === connection) {
      this.#connection = null;
      void this.#log?.close().catch(() => {});
      this.#failure = failure;
      this.#retryAt = this.#clock.now() + RETRY_MS;
    }
    connection.abandon();
    return failure;
  }
}
