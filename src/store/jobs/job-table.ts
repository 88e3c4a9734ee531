/** Jobs: their states, counts and what is kept of them. */
import type { FileTable } from './file-table.ts';
import {
  FINAL_STATES,
  type ItemError,
  type Job,
  type JobChange,
  type JobLimits,
  type JobState,
  type ListQuery,
  type NewJob,
  type OpenJob,
  type Page,
} from './job-store.ts';
import { listPage } from './page.ts';
import { fromJson, toJson, type Row, type Sql } from './sql.ts';

export class JobTable {
  readonly #sql: Sql;
  readonly #files: FileTable;

  constructor(sql: Sql, files: FileTable) {
    this.#sql = sql;
    this.#files = files;
  }

  create(job: NewJob, { bytesMax, openJobsMax }: JobLimits): 'created' | 'taken' | 'too_many' {
    this.#sql.requireRoom(bytesMax);
    const open = Number(this.#sql.one('SELECT count(*) AS n FROM jobs WHERE is_open = 1')?.['n']);
    if (open >= openJobsMax) return 'too_many';
    const created = this.#sql.run(
      `INSERT OR IGNORE INTO jobs (id, kind, client, state, is_open, dialect, path, priority, created_at, ends_at, data)
       VALUES (?, ?, ?, 'validating', 1, ?, ?, ?, ?, ?, ?)`,
      job.id,
      job.kind,
      job.client,
      job.dialect,
      job.path,
      job.priority,
      job.createdAtMs,
      job.endsAtMs,
      toJson(job.data),
    );
    return created === 1 ? 'created' : 'taken';
  }

  get(client: string, id: string): Job | null {
    const found = this.#sql.one('SELECT * FROM jobs WHERE id = ? AND client = ?', id, client);
    return found === undefined ? null : toJob(found);
  }

  list(query: ListQuery): Page<Job> | null {
    return listPage(this.#sql, { table: 'jobs', kindColumn: 'kind', condition: '1' }, query, toJob);
  }

  change(id: string, from: readonly JobState[], change: JobChange): Job | null {
    const found = this.#sql.one('SELECT * FROM jobs WHERE id = ?', id);
    if (found === undefined) return null;
    const before = toJob(found);
    if (!from.includes(before.state)) return null;
    const state = change.state ?? before.state;
    const ending = change.ending === undefined ? before.ending : change.ending;
    const data = { ...before.data, ...change.data };
    const endsAtMs = change.endsAtMs ?? before.endsAtMs;
    this.#sql.run(
      'UPDATE jobs SET runner = NULL, state = ?, is_open = ?, ending = ?, ends_at = ?, data = ?, keep_until = ? WHERE id = ?',
      state,
      FINAL_STATES.includes(state) ? 0 : 1,
      ending,
      endsAtMs,
      toJson(data),
      change.keepUntilMs ?? null,
      id,
    );
    // Nothing shows items of a job that was never begun.
    if (before.state === 'validating' && FINAL_STATES.includes(state)) {
      this.#sql.run('UPDATE jobs SET total = 0 WHERE id = ?', id);
      this.#sql.run(`INSERT OR IGNORE INTO garbage (kind, ref) SELECT 'items', seq FROM jobs WHERE id = ?`, id);
    }
    for (const file of change.files ?? []) this.#files.createOfResults(file, file.succeeded);
    return { ...before, state, ending, endsAtMs, data };
  }

  seqOf(id: string): number | null {
    const seq = this.#sql.one('SELECT seq FROM jobs WHERE id = ?', id)?.['seq'];
    return seq === undefined ? null : Number(seq);
  }

  claim(id: string, runner: number): boolean {
    return this.#sql.run('UPDATE jobs SET runner = ? WHERE id = ? AND (runner IS NULL OR runner = ?)', runner, id, runner) === 1;
  }

  /** The place of a job that takes items from this runner; null: it takes none. */
  validatedBy(id: string, runner: number): number | null {
    const seq = this.#sql.one(`SELECT seq FROM jobs WHERE id = ? AND state = 'validating' AND runner = ?`, id, runner)?.['seq'];
    return seq === undefined ? null : Number(seq);
  }

  isOver(seq: number): boolean {
    return this.#sql.one(`SELECT 1 FROM jobs WHERE seq = ? AND succeeded + failed >= total`, seq) !== undefined;
  }

  open(): OpenJob[] {
    return this.#sql.all('SELECT * FROM jobs WHERE is_open = 1 ORDER BY seq').map((row) => ({
      ...toJob(row),
      models: this.#sql.all('SELECT model FROM job_models WHERE job = ?', Number(row['seq'])).map(({ model }) => String(model)),
    }));
  }

  /** Deletes jobs that were kept long enough, with their result files. */
  expire(nowMs: number): void {
    for (const found of this.#sql.all('SELECT seq, id FROM jobs WHERE keep_until <= ? LIMIT 100', nowMs)) {
      const [seq, id] = [Number(found['seq']), String(found['id'])];
      this.#sql.run('DELETE FROM files WHERE job = ?', id);
      this.#sql.run('DELETE FROM jobs WHERE seq = ?', seq);
      this.#sql.run('DELETE FROM job_models WHERE job = ?', seq);
      this.#sql.run(`INSERT OR IGNORE INTO garbage (kind, ref) VALUES ('items', ?)`, seq);
    }
  }

  count(seq: number, succeeded: number, failed: number): void {
    this.#sql.run('UPDATE jobs SET succeeded = succeeded + ?, failed = failed + ? WHERE seq = ?', succeeded, failed, seq);
  }
}

function toJob(row: Row): Job {
  return {
    id: String(row['id']),
    kind: String(row['kind']),
    client: String(row['client']),
    state: String(row['state']) as JobState,
    ending: row['ending'] === null ? null : (String(row['ending']) as 'expired' | 'cancelled'),
    dialect: String(row['dialect']),
    path: String(row['path']),
    priority: String(row['priority']),
    createdAtMs: Number(row['created_at']),
    endsAtMs: Number(row['ends_at']),
    total: Number(row['total']),
    succeeded: Number(row['succeeded']),
    failed: Number(row['failed']),
    data: fromJson(row['data']),
  };
}

export function toError(text: unknown): ItemError | null {
  return typeof text === 'string' ? (JSON.parse(text) as ItemError) : null;
}
