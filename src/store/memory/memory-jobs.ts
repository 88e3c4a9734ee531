/** Jobs that end with the process: the same tables in an in-memory database, opened on first use. */
import { toSqliteFailure } from '../sqlite/sqlite-failure.ts';
import { createJobStore, type GroupRunner } from '../jobs/job-calls.ts';
import type { JobStore } from '../jobs/job-store.ts';
import { JOB_TABLES } from '../jobs/job-schema.ts';
import { JobTables } from '../jobs/job-tables.ts';
import type { JobCall, JobOutcome } from '../jobs/job-call.ts';

export function createMemoryJobs(): JobStore {
  return createJobStore(new MemoryRunner());
}

class MemoryRunner implements GroupRunner {
  #tables: JobTables | null = null;

  async run(calls: readonly JobCall[]): Promise<readonly JobOutcome[]> {
    try {
      return (this.#tables ??= await openTables()).run(calls);
    } catch (error) {
      throw toSqliteFailure(error);
    }
  }

  async close(): Promise<void> {
    this.#tables?.close();
    this.#tables = null;
  }
}

async function openTables(): Promise<JobTables> {
  const { DatabaseSync } = await import('node:sqlite');
  const connection = new DatabaseSync(':memory:');
  for (const step of JOB_TABLES) connection.exec(step);
  return new JobTables(connection, () => false);
}
