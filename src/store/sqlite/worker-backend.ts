import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/clock.ts';
import {
  StoreFailure,
  type CachedResponseConnection,
  type Backend,
  type Batch,
  type Connection,
  type ReadResult,
  type Replacement,
  type Selection,
} from '../backend.ts';
import type { JobCall, JobOutcome } from '../jobs/job-call.ts';
import type { SqliteReply, SqliteRequest, SqliteResults } from './messages.ts';

/** The worker is a `.ts` file in a checkout and `.js` when published. */
const defaultWorkerUrl = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

export interface WorkerBackendOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Called once if another process uses the file. Absent if that is not checked. */
  readonly onShared?: () => void;
  /** Default: the real worker. Tests replace it by one that crashes or hangs. */
  readonly workerUrl?: URL;
}

/** A database file behind a worker thread; each connection starts a new thread, and never two run at once. */
export function createWorkerBackend(options: WorkerBackendOptions): Backend {
  let writer: number | null = null;
  let isSharingReported = false;
  let lastExit: Promise<void> = Promise.resolve();

  return {
    connect(onLost) {
      const connection = new WorkerConnection(onLost);
      // A worker that hangs in a system call survives its termination. Waiting for it prevents a hung disk from
      // accumulating threads; the connect timeout applies until the thread has ended.
      connection.ready = lastExit.then(async () => {
        lastExit = connection.start(options.workerUrl ?? defaultWorkerUrl);
        const nowMs = options.clock.epochMs();
        const opened = await connection.ask('open', { path: options.path, writer, nowMs, locks: options.onShared !== undefined });
        writer = opened.writer;
        if (opened.isShared && !isSharingReported) options.onShared?.();
        isSharingReported ||= opened.isShared;
      });
      return connection;
    },
  };
}

type Kind = keyof SqliteResults;
type FieldsOf<K extends Kind> = Omit<Extract<SqliteRequest, { kind: K }>, 'id' | 'kind'>;

interface Waiter {
  readonly resolve: (result: never) => void;
  readonly reject: (failure: StoreFailure) => void;
}

class WorkerConnection implements Connection {
  ready: Promise<void> = Promise.resolve();
  readonly responses: CachedResponseConnection = {
    put: async (rows, bounds, nowMs) => void (await this.ask('putResponses', { rows, bounds, nowMs })),
    get: (key, nowMs) => this.ask('getResponse', { key, nowMs }),
    keys: (nowMs) => this.ask('responseKeys', { nowMs }),
  };
  readonly runJobs = (calls: readonly JobCall[]): Promise<readonly JobOutcome[]> => this.ask('jobs', { calls });
  readonly #onLost: (failure: StoreFailure) => void;
  readonly #waiters = new Map<number, Waiter>(); // one batch and the current reads; each has a timeout
  #worker: Worker | undefined;
  #ended: StoreFailure | undefined;
  #nextId = 0;

  constructor(onLost: (failure: StoreFailure) => void) {
    this.#onLost = onLost;
  }

  /** Starts the thread, unless the connection was abandoned before. Resolves when the thread has ended. */
  start(workerUrl: URL): Promise<void> {
    if (this.#ended !== undefined) return Promise.resolve();
    const worker = new Worker(workerUrl, { name: 'breakwater-store', execArgv: ['--disable-warning=ExperimentalWarning'] });
    this.#worker = worker;
    worker.on('message', (reply: SqliteReply) => this.#take(reply));
    worker.on('error', (error) => this.#die(new StoreFailure('crashed', `its worker failed: ${String(error)}`, { cause: error })));
    return new Promise((resolve) => {
      worker.on('exit', (code) => {
        this.#die(new StoreFailure('crashed', `its worker ended with code ${code}`));
        resolve();
      });
    });
  }

  ask<K extends Kind>(kind: K, fields: FieldsOf<K>): Promise<SqliteResults[K]> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker;
      if (this.#ended !== undefined || worker === undefined) {
        reject(this.#ended ?? new StoreFailure('unavailable', 'the database is not open'));
        return;
      }
      const id = this.#nextId++;
      this.#waiters.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ ...fields, kind, id });
    });
  }

  async apply(batch: Batch, nowMs: number): Promise<void> {
    await this.ask('apply', { batch, nowMs });
  }

  async *read(collection: string, selection: Selection, nowMs: number): AsyncGenerator<ReadResult> {
    for (let from: string | null = ''; from !== null;) {
      const page: SqliteResults['read'] = await this.ask('read', { collection, selection, from, nowMs });
      yield page;
      from = page.next;
    }
  }

  replace(replacement: Replacement): Promise<boolean> {
    return this.ask('replace', { replacement });
  }

  hasJobs(): Promise<boolean> {
    return this.ask('hasJobs', {});
  }

  async check(): Promise<void> {
    await this.ask('check', {});
  }

  async close(): Promise<void> {
    await this.ask('close', {});
    this.#end(new StoreFailure('unavailable', 'the connection was closed'));
    this.#worker?.unref();
    await this.#worker?.terminate();
  }

  abandon(): void {
    if (!this.#end(new StoreFailure('unavailable', 'the connection was abandoned'))) return;
    this.#worker?.unref();
    void this.#worker?.terminate();
  }

  #take(reply: SqliteReply): void {
    const waiter = this.#waiters.get(reply.id);
    this.#waiters.delete(reply.id);
    // An idle store does not keep the process alive; a pending call does.
    if (this.#waiters.size === 0) this.#worker?.unref();
    if (reply.ok) waiter?.resolve(reply.result as never);
    else waiter?.reject(new StoreFailure(reply.fault, reply.message));
  }

  #die(failure: StoreFailure): void {
    if (this.#end(failure)) this.#onLost(failure);
  }

  #end(failure: StoreFailure): boolean {
    if (this.#ended !== undefined) return false;
    this.#ended = failure;
    for (const waiter of this.#waiters.values()) waiter.reject(failure);
    this.#waiters.clear();
    return true;
  }
}
