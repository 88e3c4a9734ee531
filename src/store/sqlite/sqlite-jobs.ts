/**
 * Jobs in the database file, over a connection and a thread of their own: an upload must not hold up the state beside it, and what is
 * said to be durable has to survive a power cut. Opened when used, and closed when it rests. A call that fails costs the connection; the next call after a
 * pause tries a new one, and until then calls fail at once with the same reason.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { StoreFailure, toStoreFailure, within, type Backend, type Connection } from '../backend.ts';
import { LogSync } from './log-sync.ts';
import { createJobStore, type GroupRunner } from '../jobs/job-calls.ts';
import type { JobStore } from '../jobs/job-store.ts';
import type { JobCall, JobOutcome } from '../jobs/job-call.ts';

/** How long a group may take: a slow disk, and another process that holds the file. */
const GROUP_TIMEOUT_MS = 30_000;
const OPEN_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000;
/** Without a call for so long the thread is ended: it takes more than 20 MB. The next call starts another one. */
const REST_MS = 10_000;
/** The same after a runner has left: it has nothing to do. */
const REST_WITHOUT_RUNNER_MS = 200;

/** `path`: of the database. */
export function createSqliteJobs(path: string, backend: Backend, clock: Clock): JobStore {
  return createJobStore(new BackendRunner(path, backend, clock));
}

class BackendRunner implements GroupRunner {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #path: string;
  /** Of the present connection; null where the path is an address of SQLite's own. */
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
      return await within(this.#clock, GROUP_TIMEOUT_MS, 'saving jobs', connection.runJobs!(calls));
    } catch (error) {
      throw this.#onConnectionLost(connection, toStoreFailure(error));
    } finally {
      const restMs = calls.at(-1)?.method === 'unregister' ? REST_WITHOUT_RUNNER_MS : REST_MS;
      this.#rest = this.#closed ? null : this.#clock.schedule(restMs, () => void this.#disconnect());
    }
  }

  sync(): Promise<void> {
    return this.#log === null ? Promise.resolve() : within(this.#clock, GROUP_TIMEOUT_MS, 'syncing the log', this.#log.sync());
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
    if (log !== null) await within(this.#clock, CLOSE_TIMEOUT_MS, 'closing the log', log.close()).catch(() => {});
    await within(this.#clock, CLOSE_TIMEOUT_MS, 'closing', connection.close()).catch(() => connection.abandon());
  }

  async #open(): Promise<Connection> {
    if (this.#closed) throw new StoreFailure('unavailable', 'the store is closed');
    if (this.#connection !== null) return this.#connection;
    if (this.#failure !== null && this.#clock.now() < this.#retryAt) throw this.#failure;
    const connection = this.#backend.connect((failure) => void this.#onConnectionLost(connection, failure));
    this.#connection = connection;
    this.#log = this.#path.startsWith('file:') ? null : new LogSync(`${this.#path}-wal`);
    try {
      await within(this.#clock, OPEN_TIMEOUT_MS, 'opening the database', connection.ready);
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
