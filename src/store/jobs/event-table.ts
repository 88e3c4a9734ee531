/** The numbered events of streamed jobs, so that a reader can resume after a disconnect. */
import type { EventGroup, EventPage, ItemKey } from './job-store.ts';
import type { JobTable } from './job-table.ts';
import type { Sql } from './sql.ts';

/** Maximum number of groups read by one call. */
const GROUPS_MAX = 500;
const NO_BYTES = new Uint8Array(0);

export class EventTable {
  readonly #sql: Sql;
  readonly #jobs: JobTable;

  constructor(sql: Sql, jobs: JobTable) {
    this.#sql = sql;
    this.#jobs = jobs;
  }

  restart(key: ItemKey): number | null {
    const seq = this.#heldBy(key);
    if (seq === null) return null;
    const next = this.#end(seq);
    const kept = this.#sql.one('SELECT coalesce(sum(length(bytes)), 0) AS bytes FROM job_events WHERE job = ?', seq)?.['bytes'];
    this.#jobs.charge(seq, -Number(kept));
    this.#sql.run('DELETE FROM job_events WHERE job = ?', seq);
    // Preserves the next number, so that no number is reused.
    this.#sql.run('INSERT INTO job_events (job, first, count, bytes) VALUES (?, ?, 0, ?)', seq, next, NO_BYTES);
    return next;
  }

  append(key: ItemKey, { first, count, bytes }: EventGroup): boolean {
    const seq = this.#heldBy(key);
    if (seq === null) return false;
    this.#sql.run('INSERT OR REPLACE INTO job_events (job, first, count, bytes) VALUES (?, ?, ?, ?)', seq, first, count, bytes);
    this.#jobs.charge(seq, bytes.byteLength);
    return true;
  }

  read(job: string, after: number, bytesMax: number): EventPage {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return { groups: [], end: 0 };
    const groups: EventGroup[] = [];
    let bytes = 0;
    const heads = this.#sql.all(
      `SELECT first, count, length(bytes) AS size FROM job_events
       WHERE job = ? AND first + count - 1 > ? AND count > 0 ORDER BY first LIMIT ${GROUPS_MAX}`,
      seq,
      after,
    );
    for (const head of heads) {
      bytes += Number(head['size']);
      if (groups.length > 0 && bytes > bytesMax) break;
      const [first, count] = [Number(head['first']), Number(head['count'])];
      const found = this.#sql.one('SELECT bytes FROM job_events WHERE job = ? AND first = ?', seq, first)?.['bytes'];
      groups.push({ first, count, bytes: found as Uint8Array });
    }
    return { groups, end: this.#end(seq) };
  }

  #end(seq: number): number {
    return Number(this.#sql.one('SELECT coalesce(max(first + count), 0) AS next FROM job_events WHERE job = ?', seq)?.['next']);
  }

  /** The row id of the job whose item this lease holds; null if it no longer does. */
  #heldBy({ job, n, lease }: ItemKey): number | null {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return null;
    const text = `SELECT 1 FROM items i JOIN jobs j ON j.seq = i.job
      WHERE i.job = ? AND i.n = ? AND i.lease = ? AND i.runner IS NOT NULL AND j.is_open = 1`;
    const held = this.#sql.one(text, seq, n, lease);
    return held === undefined ? null : seq;
  }
}
