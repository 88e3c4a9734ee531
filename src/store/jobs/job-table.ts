/** Jobs: their states, counts and sizes. */
import type { FileTable } from './file-table.ts';
import {
  FINAL_STATES,
  type ItemError,
  type Job,
  type JobChange,
  type JobLimits,
  type JobStart,
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

  create(job: NewJob, limits: JobLimits, start?: JobStart): 'created' | 'taken' | 'too_many' {
    const { openJobsMax, clientOpenJobsMax = openJobsMax } = limits;
    if (this.seqOf(job.id) !== null) return 'taken'; // also at a limit: a repeated request returns the job it created
    this.#sql.requireRoom(job.client, limits);
    const open = this.#sql.all('SELECT client = ? AS own, count(*) AS n FROM jobs WHERE is_open = 1 GROUP BY own', job.client);
    const count = (own: boolean): number => Number(open.find((row) => row['own'] === Number(own))?.['n'] ?? 0);
    if (count(true) + count(false) >= openJobsMax || count(true) >= clientOpenJobsMax) return 'too_many';
    const runner = start !== undefined && 'receivedBy' in start ? start.receivedBy : null;
    const state: JobState = start === undefined ? 'validating' : runner === null ? 'in_progress' : 'receiving';
    this.#sql.run(
      `INSERT INTO jobs (id, kind, client, state, runner, is_open, dialect, path, priority, created_at, ends_at, data)
       VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)`,
      job.id,
      job.kind,
      job.client,
      state,
      runner,
      job.dialect,
      job.path,
      job.priority,
      job.createdAtMs,
      job.endsAtMs,
      toJson(job.data),
    );
    return 'created';
  }

  get(client: string, id: string): Job | null {
    const found = this.#sql.one(`SELECT * FROM jobs WHERE id = ? AND client = ? AND state <> 'receiving'`, id, client);
    return found === undefined ? null : toJob(found);
  }

  list(query: ListQuery): Page<Job> | null {
    return listPage(this.#sql, { table: 'jobs', kindColumn: 'kind', condition: `state <> 'receiving'` }, query, toJob);
  }

  change(id: string, from: readonly JobState[], change: JobChange): Job | null {
    const found = this.#sql.one('SELECT * FROM jobs WHERE id = ?', id);
    if (found === undefined) return null;
    const before = toJob(found);
    if (!from.includes(before.state)) return null;
    const runner = found['runner'] === null ? null : Number(found['runner']);
    if (change.heldBy !== undefined && runner !== change.heldBy) return null;
    const isKept = change.state === undefined || change.state === 'cancelling';
    const state = change.state ?? before.state;
    const ending = change.ending === undefined ? before.ending : change.ending;
    const data = { ...before.data, ...change.data };
    this.#sql.run(
      'UPDATE jobs SET runner = ?, state = ?, is_open = ?, ending = ?, data = ?, keep_until = ? WHERE id = ?',
      isKept ? runner : null,
      state,
      FINAL_STATES.includes(state) ? 0 : 1,
      ending,
      toJson(data),
      change.keepUntilMs ?? null,
      id,
    );
    // Items of a job that was never started are not visible.
    if (before.state === 'validating' && FINAL_STATES.includes(state)) {
      this.#sql.run('UPDATE jobs SET total = 0, bytes = 0 WHERE id = ?', id);
      this.#sql.run(`INSERT OR IGNORE INTO garbage (kind, ref) SELECT 'items', seq FROM jobs WHERE id = ?`, id);
    }
    for (const file of change.files ?? []) this.#files.createOfResults(file, file.succeeded);
    return { ...before, state, ending, data };
  }

  seqOf(id: string): number | null {
    const seq = this.#sql.one('SELECT seq FROM jobs WHERE id = ?', id)?.['seq'];
    return seq === undefined ? null : Number(seq);
  }

  claim(id: string, runner: number): boolean {
    return this.#sql.run('UPDATE jobs SET runner = ? WHERE id = ? AND (runner IS NULL OR runner = ?)', runner, id, runner) === 1;
  }

  /** The row id of a job that accepts items from this runner; null if it does not. */
  validatedBy(id: string, runner: number): number | null {
    const seq = this.#sql.one(`SELECT seq FROM jobs WHERE id = ? AND state IN ('validating', 'receiving') AND runner = ?`, id, runner)?.[
      'seq'
    ];
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

  /** Deletes jobs past their retention, with their result files. */
  expire(nowMs: number): void {
    for (const found of this.#sql.all('SELECT seq, id FROM jobs WHERE keep_until <= ? LIMIT 100', nowMs)) {
      this.#remove(Number(found['seq']), String(found['id']));
    }
  }

  delete(client: string, id: string, from: readonly JobState[]): boolean {
    const found = this.#sql.one('SELECT seq, state FROM jobs WHERE id = ? AND client = ?', id, client);
    if (found === undefined || !from.includes(String(found['state']) as JobState)) return false;
    this.#remove(Number(found['seq']), id);
    return true;
  }

  /** Deletes the job now; its items are swept later. */
  #remove(seq: number, id: string): void {
    this.#sql.run('DELETE FROM files WHERE job = ?', id);
    this.#sql.run('DELETE FROM jobs WHERE seq = ?', seq);
    this.#sql.run('DELETE FROM job_models WHERE job = ?', seq);
    for (const kind of ['items', 'events']) this.#sql.run('INSERT OR IGNORE INTO garbage (kind, ref) VALUES (?, ?)', kind, seq);
  }

  count(seq: number, succeeded: number, failed: number): void {
    this.#sql.run('UPDATE jobs SET succeeded = succeeded + ?, failed = failed + ? WHERE seq = ?', succeeded, failed, seq);
  }

  /** `priced`: the number of items that this is the price of. */
  addCost(seq: number, usd: number, priced: 0 | 1): void {
    this.#sql.run('UPDATE jobs SET cost = cost + ?, priced = priced + ? WHERE seq = ?', usd, priced, seq);
  }

  /** Adjusts the job's stored size by `bytes`, which may be negative. */
  charge(seq: number, bytes: number): void {
    if (bytes !== 0) this.#sql.run('UPDATE jobs SET bytes = max(0, bytes + ?) WHERE seq = ?', bytes, seq);
  }

  clientOf(seq: number): string {
    return String(this.#sql.one('SELECT client FROM jobs WHERE seq = ?', seq)?.['client']);
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
    costUsd: Number(row['cost']),
    priced: Number(row['priced']),
    data: fromJson(row['data']),
  };
}

export function toError(text: unknown): ItemError | null {
  return typeof text === 'string' ? (JSON.parse(text) as ItemError) : null;
}
