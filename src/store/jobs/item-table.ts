/** The items of jobs: their leases and outcomes. */
import type { SQLInputValue } from 'node:sqlite';
import { toError, type JobTable } from './job-table.ts';
import {
  costOf,
  LEASES_MAX,
  REPEATS_MAX,
  type Beat,
  type DoneItem,
  type HandoverEnd,
  type Identity,
  type ItemError,
  type ItemKey,
  type ItemResult,
  type JobLimits,
  type Lease,
  type LeasedItem,
  type LeaseQuery,
  type NewItem,
  type Requeue,
  type TakeBack,
} from './job-store.ts';
import { fromJson, toJson, toNumber, type Row, type Sql } from './sql.ts';

const QUEUED = 0;
const LEASED = 1;
const SENT = 2;
const DONE = 3;
const HANDED = 4;
/** A leased item returns to the batch that it was handed over to, else to the queue. */
const RETURNED = `CASE WHEN batch IS NULL THEN ${QUEUED} ELSE ${HANDED} END`;

/** Maximum number of rows that one call changes or deletes: it blocks other calls and other processes. */
const SLICE_ROWS = 500;

const GARBAGE: Readonly<Record<string, string>> = {
  file: 'DELETE FROM file_pieces WHERE rowid IN (SELECT rowid FROM file_pieces WHERE file = ? LIMIT 20)',
  items: `DELETE FROM items WHERE rowid IN (SELECT rowid FROM items WHERE job = ? LIMIT ${SLICE_ROWS})`,
  events: `DELETE FROM job_events WHERE rowid IN (SELECT rowid FROM job_events WHERE job = ? LIMIT ${SLICE_ROWS})`,
};

const INTERRUPTED: ItemError = {
  code: 'interrupted',
  message: `the gateway stopped ${REPEATS_MAX + 1} times while this request was running; it is not sent again`,
};

export class ItemTable {
  readonly #sql: Sql;
  readonly #jobs: JobTable;

  constructor(sql: Sql, jobs: JobTable) {
    this.#sql = sql;
    this.#jobs = jobs;
  }

  clear(job: string, runner: number): number {
    const seq = this.#jobs.validatedBy(job, runner);
    if (seq === null) return 0;
    const text = `DELETE FROM items WHERE rowid IN (SELECT rowid FROM items WHERE job = ? LIMIT ${SLICE_ROWS})`;
    const cleared = this.#sql.run(text, seq);
    this.#sql.run('UPDATE jobs SET bytes = 0 WHERE seq = ?', seq);
    this.#sql.run('DELETE FROM job_models WHERE job = ?', seq);
    this.#sql.run('UPDATE jobs SET total = 0, succeeded = 0, failed = 0 WHERE seq = ?', seq);
    return cleared;
  }

  add(job: string, runner: number, items: readonly NewItem[], limits: JobLimits): boolean {
    const seq = this.#jobs.validatedBy(job, runner);
    if (seq === null) return false;
    this.#sql.requireRoom(this.#jobs.clientOf(seq), limits);
    this.#insert(seq, items);
    return true;
  }

  /** Adds the items of a job that was just created. */
  addFirst(job: string, items: readonly NewItem[]): void {
    this.#insert(this.#jobs.seqOf(job)!, items);
  }

  #insert(seq: number, items: readonly NewItem[]): void {
    let bytes = 0;
    const models = new Set<string>();
    for (const { n, customId, model, body } of items) {
      models.add(model);
      bytes += body.byteLength;
      this.#sql.run(
        `INSERT INTO items (job, n, state, not_before, lease, rounds, strikes, repeated, model, custom_id, body)
         VALUES (?, ?, ${QUEUED}, 0, ?, 0, 0, 0, ?, ?, ?)`,
        seq,
        n,
        seq * LEASES_MAX,
        model,
        customId,
        body,
      );
    }
    for (const model of models) this.#sql.run('INSERT OR IGNORE INTO job_models (job, model) VALUES (?, ?)', seq, model);
    this.#sql.run('UPDATE jobs SET total = total + ? WHERE seq = ?', items.length, seq);
    this.#jobs.charge(seq, bytes);
  }

  endQueued(job: string, error: ItemError, model?: string): number {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return 0;
    const ofModel = model === undefined ? '' : 'AND model = ?';
    const which = `rowid IN (SELECT rowid FROM items WHERE job = ? AND state = ${QUEUED} ${ofModel} LIMIT ${SLICE_ROWS})`;
    const values = model === undefined ? [seq] : [seq, model];
    this.#discharge(which, ...values);
    const ended = this.#sql.run(
      `UPDATE items SET state = ${DONE}, succeeded = 0, body = NULL,
         error = json_object('code', ?, 'message', CASE WHEN note IS NULL THEN ? ELSE ? || '; the last attempt: ' || note END)
       WHERE ${which}`,
      error.code,
      error.message,
      error.message,
      ...values,
    );
    if (ended > 0) this.#jobs.count(seq, 0, ended);
    return ended;
  }

  results(job: string, succeeded: boolean | null, after: number, bytesMax: number): DoneItem[] {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return [];
    const wanted = succeeded === null ? null : succeeded ? 1 : 0;
    const heads = this.#sql.all(
      `SELECT n, coalesce(length(result), 0) AS bytes FROM items
       WHERE job = ? AND n > ? AND state = ${DONE} AND (? IS NULL OR succeeded = ?) ORDER BY n LIMIT 2000`,
      seq,
      after,
      wanted,
      wanted,
    );
    let bytes = 0;
    let last = after;
    for (const head of heads) {
      bytes += Number(head['bytes']);
      if (last > after && bytes > bytesMax) break;
      last = Number(head['n']);
    }
    if (last === after) return [];
    return this.#sql
      .all(
        `SELECT n, custom_id, succeeded, max(repeated, cut) AS repeated, status, error, facts, result FROM items
         WHERE job = ? AND n > ? AND n <= ? AND state = ${DONE} AND (? IS NULL OR succeeded = ?) ORDER BY n`,
        seq,
        after,
        last,
        wanted,
        wanted,
      )
      .map(toDone);
  }

  lease({ runner, job, model, countMax, bytesMax, nowMs, known }: LeaseQuery): Lease {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return { items: [], nextAtMs: null, hasMore: false };
    if (known !== undefined) {
      const text = `UPDATE items SET state = ${RETURNED}, runner = NULL
        WHERE runner = ? AND job = ? AND model = ? AND state = ${LEASED} AND n NOT IN (SELECT value FROM json_each(?))`;
      this.#sql.run(text, runner, seq, model, toJson(known));
    }
    const due = this.#sql.all(
      `SELECT rowid, n, not_before, length(body) AS bytes FROM items
       WHERE job = ? AND state = ${QUEUED} AND model = ? ORDER BY not_before, n LIMIT ?`,
      seq,
      model,
      countMax + 1,
    );
    const items: LeasedItem[] = [];
    let bytes = 0;
    for (const row of due) {
      const notBefore = Number(row['not_before']);
      if (notBefore > nowMs) return { items, nextAtMs: notBefore, hasMore: false };
      bytes += Number(row['bytes']);
      if (items.length >= countMax || (items.length > 0 && bytes > bytesMax)) return { items, nextAtMs: null, hasMore: true };
      items.push(this.#take(job, Number(row['rowid']), runner));
    }
    return { items, nextAtMs: null, hasMore: false };
  }

  #take(job: string, rowid: number, runner: number): LeasedItem {
    const row = this.#sql.one(
      `UPDATE items SET state = ${LEASED}, runner = ?, lease = lease + 1 WHERE rowid = ? RETURNING ${OF_LEASED}`,
      runner,
      rowid,
    )!;
    return toLeased(job, row);
  }

  handOver(keys: readonly ItemKey[], batch: string): number[] {
    const text = `UPDATE items SET state = ${HANDED}, runner = NULL, batch = ?
      WHERE job = ? AND n = ? AND lease = ? AND (state = ${LEASED} OR (state = ${HANDED} AND batch = ?))`;
    return keys
      .filter(({ job, n, lease }) => {
        const seq = this.#jobs.seqOf(job);
        return seq !== null && this.#sql.run(text, batch, seq, n, lease, batch) === 1;
      })
      .map(({ n }) => n);
  }

  takeBack({ job, n, batch, runner }: TakeBack): LeasedItem | null {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return null;
    const row = this.#sql.one(
      `UPDATE items SET state = ${LEASED}, runner = ?, lease = lease + 1
       WHERE job = ? AND n = ? AND batch = ? AND (state = ${HANDED} OR (state = ${LEASED} AND runner = ?)) RETURNING ${OF_LEASED}`,
      runner,
      seq,
      n,
      batch,
      runner,
    );
    return row === undefined ? null : toLeased(job, row);
  }

  endHandover({ job, batch, repeated, round, note }: HandoverEnd): number {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return 0;
    const held = `rowid IN (SELECT rowid FROM items WHERE job = ? AND state = ${HANDED} AND batch = ? LIMIT ${SLICE_ROWS})`;
    const interrupted = repeated ? this.#interrupt(`${held} AND repeated >= ${REPEATS_MAX}`, seq, batch) : 0;
    const queued = this.#sql.run(
      `UPDATE items SET state = ${QUEUED}, batch = NULL, rounds = rounds + ?, repeated = repeated + ?, note = ? WHERE ${held}`,
      round ? 1 : 0,
      repeated ? 1 : 0,
      note,
      seq,
      batch,
    );
    return interrupted + queued;
  }

  /** Subtracts the sizes of the requests of these items, which are about to end, from the sizes of their jobs. */
  #discharge(which: string, ...values: SQLInputValue[]): void {
    const text = `SELECT job, sum(length(body)) AS bytes FROM items WHERE ${which} GROUP BY job`;
    for (const { job, bytes } of this.#sql.all(text, ...values)) this.#jobs.charge(Number(job), -Number(bytes));
  }

  /** Ends items that were sent too often. How many. */
  #interrupt(which: string, ...values: SQLInputValue[]): number {
    this.#discharge(which, ...values);
    const text = `UPDATE items SET state = ${DONE}, runner = NULL, succeeded = 0, body = NULL, error = ? WHERE ${which} RETURNING job`;
    const ended = this.#sql.all(text, toJson(INTERRUPTED), ...values);
    for (const { job } of ended) this.#jobs.count(Number(job), 0, 1);
    return ended.length;
  }

  markSent({ job, n, lease }: ItemKey): boolean {
    const seq = this.#jobs.seqOf(job);
    const text = `UPDATE items SET state = ${SENT}, batch = NULL WHERE job = ? AND n = ? AND lease = ? AND state = ${LEASED}`;
    return seq !== null && this.#sql.run(text, seq, n, lease) === 1;
  }

  complete({ job, n, lease }: ItemKey, result: ItemResult): 'done' | 'last' | 'lost' {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return 'lost';
    const request = this.#sql.one(
      `SELECT length(body) AS bytes FROM items WHERE job = ? AND n = ? AND lease = ? AND state IN (${LEASED}, ${SENT})`,
      seq,
      n,
      lease,
    );
    if (request === undefined) return 'lost';
    this.#sql.run(
      `UPDATE items SET state = ${DONE}, runner = NULL, succeeded = ?, status = ?, facts = ?, result = ?, error = ?, body = NULL
       WHERE job = ? AND n = ?`,
      result.succeeded ? 1 : 0,
      result.status,
      toJson(result.facts),
      result.body,
      result.error === null ? null : toJson(result.error),
      seq,
      n,
    );
    this.#jobs.charge(seq, (result.body?.byteLength ?? 0) - Number(request['bytes']));
    this.#jobs.count(seq, result.succeeded ? 1 : 0, result.succeeded ? 0 : 1);
    const cost = costOf(result);
    if (cost !== null) this.#jobs.addCost(seq, cost, 1);
    return this.#jobs.isOver(seq) ? 'last' : 'done';
  }

  requeue({ job, n, lease }: ItemKey, { notBeforeMs, round, strike, wasCut, note, costUsd }: Requeue): boolean {
    const seq = this.#jobs.seqOf(job);
    if (seq === null) return false;
    const text = `UPDATE items SET state = ${QUEUED}, runner = NULL, batch = NULL, rounds = rounds + ?, strikes = strikes + ?, cut = max(cut, ?), not_before = ?, note = coalesce(?, note)
      WHERE job = ? AND n = ? AND lease = ? AND state IN (${LEASED}, ${SENT})`;
    const values = [round ? 1 : 0, strike ? 1 : 0, wasCut === true ? 1 : 0, Math.ceil(notBeforeMs), note === '' ? null : note];
    if (this.#sql.run(text, ...values, seq, n, lease) !== 1) return false;
    if (costUsd !== undefined) this.#jobs.addCost(seq, costUsd, 0);
    return true;
  }

  register({ machine, pid, startedAtMs }: Identity, nowMs: number): number {
    const text = 'INSERT INTO runners (machine, pid, started_at, seen_at) VALUES (?, ?, ?, ?) RETURNING id';
    return Number(this.#sql.one(text, machine, pid, startedAtMs, Math.floor(nowMs))?.['id']);
  }

  /** `isGone`: true if no process on this machine has the id. */
  beat({ runner, nowMs, silenceMaxMs, machine, pid, startedAtMs }: Beat, isGone: (pid: number) => boolean): void {
    this.#sql.run(
      `INSERT INTO runners (id, machine, pid, started_at, seen_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`,
      runner,
      machine,
      pid,
      startedAtMs,
      Math.floor(nowMs),
    );
    for (const other of this.#sql.all('SELECT * FROM runners WHERE id <> ?', runner)) {
      const otherPid = Number(other['pid']);
      const isGoneHere = otherPid === pid ? Number(other['started_at']) !== startedAtMs : isGone(otherPid);
      const isDead = other['machine'] === machine && isGoneHere;
      if (isDead || Number(other['seen_at']) < nowMs - silenceMaxMs) this.release(Number(other['id']), Math.floor(nowMs));
    }
  }

  /**
   * Requeues the items of a dead runner and marks those that were sent. These are queued behind items that were never sent: if one of them
   * causes the crashes, it does not hold up the others every time.
   */
  release(runner: number, nowMs: number): void {
    this.#sql.run(`UPDATE items SET state = ${RETURNED}, runner = NULL WHERE runner = ? AND state = ${LEASED}`, runner);
    this.#interrupt(`runner = ? AND state = ${SENT} AND repeated >= ${REPEATS_MAX}`, runner);
    this.#sql.run(
      `UPDATE items SET state = ${QUEUED}, runner = NULL, repeated = repeated + 1, not_before = ? WHERE runner = ?`,
      nowMs,
      runner,
    );
    this.#sql.run('UPDATE jobs SET runner = NULL WHERE runner = ?', runner);
    this.#sql.run('DELETE FROM runners WHERE id = ?', runner);
  }

  /** Deletes unreferenced rows, a limited number per call. Returns true if there may be more. */
  sweep(): boolean {
    const found = this.#sql.one('SELECT kind, ref FROM garbage LIMIT 1');
    if (found === undefined) return false;
    const [kind, ref] = [String(found['kind']), Number(found['ref'])];
    const deleted = this.#sql.run(GARBAGE[kind] ?? GARBAGE['items']!, ref);
    if (deleted === 0) this.#sql.run('DELETE FROM garbage WHERE kind = ? AND ref = ?', kind, ref);
    return true;
  }
}

const OF_LEASED = 'n, lease, strikes, rounds, max(repeated, cut) AS repeated, custom_id, body';

function toLeased(job: string, row: Row): LeasedItem {
  return {
    job,
    n: Number(row['n']),
    lease: Number(row['lease']),
    customId: String(row['custom_id']),
    body: row['body'] as Uint8Array,
    strikes: Number(row['strikes']),
    rounds: Number(row['rounds']),
    repeated: Number(row['repeated']),
  };
}

function toDone(row: Row): DoneItem {
  return {
    n: Number(row['n']),
    customId: String(row['custom_id']),
    succeeded: Number(row['succeeded']) === 1,
    repeated: Number(row['repeated']),
    status: toNumber(row['status']),
    facts: fromJson(row['facts']),
    body: row['result'] instanceof Uint8Array ? row['result'] : null,
    error: toError(row['error']),
  };
}
