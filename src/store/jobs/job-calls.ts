/** A job store on top of a group runner: calls made while a group runs form the next group. */
import { StoreFailure } from '../backend.ts';
import type { JobStore } from './job-store.ts';
import type { JobArguments, JobCall, JobMethod, JobOutcome, JobResult } from './job-call.ts';

/** Limits of one group, in calls and bytes: its transaction blocks other writers of the file. */
const GROUP_CALLS_MAX = 500;
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Methods that resolve only when a power failure can't undo them: state reported to callers, and results. A power failure may lose the last
 * moments of the others; `markSent` must be quick because a permit is held while it runs.
 */
const SYNCED: ReadonlySet<JobMethod> = new Set([
  'finishFile', 'deleteFile', 'createJob', 'changeJob', 'deleteJob', 'completeItem', 'endQueued',
  'handOver',
]); // prettier-ignore

interface Waiting {
  readonly call: JobCall;
  readonly resolve: (value: never) => void;
  readonly reject: (failure: StoreFailure) => void;
}

export interface GroupRunner {
  /** Rejects with a `StoreFailure` if the group failed as a whole, with no effect. */
  run(calls: readonly JobCall[]): Promise<readonly JobOutcome[]>;
  /** Resolves when everything run so far survives a power failure; absent if that is immediate or impossible. */
  sync?(): Promise<void>;
  close(): Promise<void>;
}

export function createJobStore(runner: GroupRunner): JobStore {
  const groups = new CallGroups(runner);
  const method =
    <M extends JobMethod>(name: M) =>
    (...args: JobArguments<M>): Promise<JobResult<M>> =>
      groups.call(name, args);
  return {
    createFile: method('createFile'),
    appendFile: method('appendFile'),
    finishFile: method('finishFile'),
    abandonFile: method('abandonFile'),
    getFile: method('getFile'),
    listFiles: method('listFiles'),
    deleteFile: method('deleteFile'),
    readFile: method('readFile'),
    createJob: method('createJob'),
    getJob: method('getJob'),
    listJobs: method('listJobs'),
    changeJob: method('changeJob'),
    deleteJob: method('deleteJob'),
    claimJob: method('claimJob'),
    clearItems: method('clearItems'),
    addItems: method('addItems'),
    endQueued: method('endQueued'),
    readResults: method('readResults'),
    register: method('register'),
    beat: method('beat'),
    lease: method('lease'),
    sweep: method('sweep'),
    markSent: method('markSent'),
    completeItem: method('completeItem'),
    requeueItem: method('requeueItem'),
    handOver: method('handOver'),
    takeBack: method('takeBack'),
    endHandover: method('endHandover'),
    restartEvents: method('restartEvents'),
    appendEvents: method('appendEvents'),
    readEvents: method('readEvents'),
    unregister: method('unregister'),
    close: () => groups.close(),
  };
}

class CallGroups {
  readonly #runner: GroupRunner;
  #waiting: Waiting[] = []; // bounded by the callers, each of which awaits its call
  #running = false;
  #closed = false;

  constructor(runner: GroupRunner) {
    this.#runner = runner;
  }

  call<M extends JobMethod>(method: M, args: JobArguments<M>): Promise<JobResult<M>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreFailure('unavailable', 'the store is closed'));
      this.#waiting.push({ call: { method, args }, resolve, reject });
      if (!this.#running) void this.#runAll();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new StoreFailure('unavailable', 'the store is closed'));
    await this.#runner.close();
  }

  async #runAll(): Promise<void> {
    this.#running = true;
    // Calls of one event loop turn form one group.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#runGroup(this.#take());
    this.#running = false;
  }

  async #runGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#runner.run(group.map(({ call }) => call));
      let syncing: Promise<void> | null = null;
      group.forEach(({ call, resolve, reject }, i) => {
        const outcome = outcomes[i]!;
        if (!outcome.ok) return reject(new StoreFailure(outcome.fault, outcome.message));
        if (this.#runner.sync === undefined || !SYNCED.has(call.method)) return resolve(outcome.value as never);
        syncing ??= this.#runner.sync();
        syncing.then(() => resolve(outcome.value as never), (error: unknown) => reject(toFailure(error))); // prettier-ignore
      });
    } catch (error) {
      for (const { reject } of group) reject(toFailure(error));
    }
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { call } of this.#waiting) {
      bytes += sizeOf(call);
      if (count >= GROUP_CALLS_MAX || (count > 0 && bytes > GROUP_BYTES_MAX)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}

function toFailure(error: unknown): StoreFailure {
  return error instanceof StoreFailure ? error : new StoreFailure('io_error', String(error), { cause: error });
}

function sizeOf({ method, args }: JobCall): number {
  if (method === 'appendFile') return (args as JobArguments<'appendFile'>)[2].byteLength;
  if (method === 'completeItem') return (args as JobArguments<'completeItem'>)[1].body?.byteLength ?? 0;
  if (method === 'addItems') return (args as JobArguments<'addItems'>)[2].reduce((sum, { body }) => sum + body.byteLength, 0);
  if (method === 'appendEvents') return (args as JobArguments<'appendEvents'>)[1].bytes.byteLength;
  return 0;
}
