/**
 * Files, jobs and items over one synchronous SQLite connection, shared by the memory and file drivers. A group of calls is one transaction.
 * A call either applies or changes nothing; a database fault fails the whole group.
 */
import type { DatabaseSync } from 'node:sqlite';
import { StoreFailure } from '../backend.ts';
import { inTransaction } from '../sqlite/transaction.ts';
import { EventTable } from './event-table.ts';
import { FileTable } from './file-table.ts';
import { ItemTable } from './item-table.ts';
import type { JobArguments, JobCall, JobMethod, JobOutcome, JobResult } from './job-call.ts';
import { JobTable } from './job-table.ts';
import { Sql } from './sql.ts';

type SyncMethods = { readonly [M in JobMethod]: (...args: JobArguments<M>) => JobResult<M> };

export class JobTables {
  readonly #connection: DatabaseSync;
  readonly #methods: SyncMethods;

  /** `isGone`: true if no process on this machine has the id. */
  constructor(connection: DatabaseSync, isGone: (pid: number) => boolean) {
    this.#connection = connection;
    this.#methods = methodsOf(new Sql(connection), isGone);
  }

  close(): void {
    this.#connection.close();
  }

  run(calls: readonly JobCall[]): JobOutcome[] {
    return inTransaction(this.#connection, () => calls.map((call) => this.#call(call)));
  }

  /** A method rejects before it changes anything, so the rest of the group is unaffected. */
  #call({ method, args }: JobCall): JobOutcome {
    try {
      return { ok: true, value: (this.#methods[method] as (...args: readonly unknown[]) => unknown)(...args) };
    } catch (error) {
      if (!(error instanceof StoreFailure)) throw error;
      return { ok: false, fault: error.fault, message: error.message };
    }
  }
}

function methodsOf(sql: Sql, isGone: (pid: number) => boolean): SyncMethods {
  const files = new FileTable(sql);
  const jobs = new JobTable(sql, files);
  const items = new ItemTable(sql, jobs);
  const events = new EventTable(sql, jobs);
  return {
    createFile: (file, limits) => files.create(file, limits),
    appendFile: (id, index, bytes, limits) => files.append(id, index, bytes, limits),
    finishFile: (id, details) => files.finish(id, details),
    abandonFile: (id) => files.abandon(id),
    getFile: (client, id) => files.get(client, id),
    listFiles: (query) => files.list(query),
    deleteFile: (client, id) => files.delete(client, id),
    readFile: (id, index) => files.read(id, index),
    createJob(job, limits, start) {
      const created = jobs.create(job, limits, start);
      if (created === 'created' && start !== undefined && !('receivedBy' in start)) items.addFirst(job.id, start);
      return created;
    },
    getJob: (client, id) => jobs.get(client, id),
    listJobs: (query) => jobs.list(query),
    changeJob: (id, from, change) => jobs.change(id, from, change),
    deleteJob: (client, id, from) => jobs.delete(client, id, from),
    claimJob: (id, runner) => jobs.claim(id, runner),
    clearItems: (job, runner) => items.clear(job, runner),
    addItems: (job, runner, added, limits) => items.add(job, runner, added, limits),
    endQueued: (job, error, model) => items.endQueued(job, error, model),
    readResults: (job, succeeded, after, bytesMax) => items.results(job, succeeded, after, bytesMax),
    register: (identity, nowMs) => items.register(identity, nowMs),
    beat(beat) {
      items.beat(beat, isGone);
      jobs.expire(beat.nowMs);
      files.expire(beat.nowMs);
      return jobs.open();
    },
    lease: (query) => items.lease(query),
    sweep: () => items.sweep(),
    markSent: (key) => items.markSent(key),
    completeItem: (key, result) => items.complete(key, result),
    requeueItem: (key, requeue) => items.requeue(key, requeue),
    handOver: (keys, batch) => items.handOver(keys, batch),
    takeBack: (query) => items.takeBack(query),
    endHandover: (end) => items.endHandover(end),
    restartEvents: (key) => events.restart(key),
    appendEvents: (key, group) => events.append(key, group),
    readEvents: (job, after, bytesMax) => events.read(job, after, bytesMax),
    unregister: (runner, nowMs) => items.release(runner, nowMs),
  };
}
