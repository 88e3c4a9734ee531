/**
 * The database file. All operations are synchronous and may block as long as the disk does; they run in the worker.
 *
 * Write-ahead log, `synchronous = NORMAL`: a killed process loses no commit; a power failure may lose the last commits but never damages
 * the file.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Batch, KeyedChange, Replacement, Selection } from '../backend.ts';
import { rowAfter, type Row } from '../change.ts';
import { JobTables } from '../jobs/job-tables.ts';
import { isProcessGone } from '../machine.ts';
import { CachedResponseTable } from './cached-response-table.ts';
import { createFileCheck, requireRegularFile } from './file-check.ts';
import { prepareSchema } from './schema.ts';
import type { PageResult } from './messages.ts';
import { inTransaction } from './transaction.ts';

/** How long a statement waits for another connection's lock. */
const busyTimeoutMs = 2_000;
/** Minimum interval between deletions of expired rows, and their maximum number; such rows are not visible in any case. */
const sweepIntervalMs = 60_000;
const sweepRowsMax = 1_000;

/** Rows of one page: passing them to another thread takes a few milliseconds. */
const pageRows = 2_000;

const anyJob = `SELECT ${['jobs', 'files', 'runners', 'garbage'].map((table) => `EXISTS (SELECT 1 FROM ${table})`).join(' OR ')} AS found`;

export interface SqliteDatabase {
  /** The number of this writer in the file. */
  readonly writer: number;
  /** Commits the batch, unless the file already contains this writer's batch of that number. */
  apply(batch: Batch, nowMs: number): void;
  /** A page of rows in the order of their keys, from the key `from` on. */
  read(collection: string, selection: Selection, from: string, nowMs: number): PageResult;
  /** Nothing, or all of it, if the rows to be replaced are as given. */
  replace(replacement: Replacement): boolean;
  readonly responses: CachedResponseTable;
  jobs(): JobTables;
  /** Files, jobs, runners, or remains that are to be deleted. */
  hasJobs(): boolean;
  /** Throws `replaced` if the path no longer names the opened file: SQLite would continue writing to an unreachable file. */
  check(): void;
  close(): void;
}

/**
 * Opens the file, and creates it (readable by its owner only) in an existing folder. Throws a `StoreFailure` for a
 * file of another program, SQLite's or the system's error otherwise; the file is then unchanged.
 * `writer`: the number from an earlier connection, or null.
 */
export function openDatabase(path: string, writer: number | null, nowMs: number): SqliteDatabase {
  createPrivately(path);
  requireRegularFile(path);
  const connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    const number = prepareSchema(connection, writer, nowMs);
    return toDatabase(connection, number, nowMs, createFileCheck(path));
  } catch (error) {
    connection.close();
    throw error;
  }
}

function createPrivately(path: string): void {
  if (path.startsWith('file:') || existsSync(path)) return;
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another process was faster
  }
}

function toDatabase(connection: DatabaseSync, writer: number, openedAtMs: number, check: () => void): SqliteDatabase {
  const batchOf = connection.prepare('SELECT batch FROM writers WHERE id = ?');
  const setBatch = connection.prepare(
    'INSERT INTO writers (id, batch, seen_at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen_at = excluded.seen_at',
  );
  const readOne = connection.prepare('SELECT key, value, expires_at FROM entries WHERE collection = ? AND key = ?');
  const readPage = connection.prepare(
    `SELECT key, value, expires_at FROM entries
     WHERE collection = ? AND key >= ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ${pageRows}`,
  );
  // By the index of expiries: a collection may hold hundreds of days.
  const readWithin = connection.prepare(
    `SELECT key, value, expires_at FROM entries INDEXED BY entries_by_expiry
     WHERE expires_at >= ? AND expires_at <= ? AND expires_at > ? AND collection = ? AND key >= ? ORDER BY key LIMIT ${pageRows}`,
  );
  const write = connection.prepare('INSERT OR REPLACE INTO entries (collection, key, value, expires_at) VALUES (?, ?, ?, ?)');
  const remove = connection.prepare('DELETE FROM entries WHERE collection = ? AND key = ?');
  const sweep = connection.prepare(
    'DELETE FROM entries WHERE (collection, key) IN (SELECT collection, key FROM entries WHERE expires_at <= ? LIMIT ?)',
  );
  let jobs: JobTables | null = null;
  let sweptAtMs = openedAtMs - sweepIntervalMs;

  const lastBatch = (): number => Number(batchOf.get(writer)?.['batch'] ?? 0);

  function applyOne({ collection, key, change }: KeyedChange): void {
    const row = rowAfter(change);
    if (row === undefined) remove.run(collection, key);
    else write.run(collection, key, row.text, row.expiresAtMs);
  }

  function select(collection: string, selection: Selection, from: string, nowMs: number): Record<string, unknown>[] {
    if (typeof selection === 'string') return readOne.all(collection, selection);
    if (selection === undefined) return readPage.all(collection, from, nowMs);
    return readWithin.all(selection.fromMs, selection.toMs, nowMs, collection, from);
  }

  return {
    writer,
    responses: new CachedResponseTable(connection, openedAtMs),
    jobs: () => (jobs ??= new JobTables(connection, isProcessGone)),
    hasJobs: () => connection.prepare(anyJob).get()?.['found'] === 1,
    apply(batch, nowMs) {
      const sweeps = Math.abs(nowMs - sweptAtMs) >= sweepIntervalMs;
      inTransaction(connection, () => {
        if (lastBatch() >= batch.sequence) return;
        for (const change of batch.changes) applyOne(change);
        setBatch.run(writer, batch.sequence, Math.floor(nowMs));
        if (sweeps) sweep.run(nowMs, sweepRowsMax);
      });
      if (sweeps) sweptAtMs = nowMs;
    },
    replace({ collection, key, row, replaced }) {
      return inTransaction(connection, () => {
        if (replaced.some((other) => readOne.get(collection, other.key)?.['value'] !== other.text)) return false;
        for (const other of replaced) remove.run(collection, other.key);
        write.run(collection, key, row.text, row.expiresAtMs);
        return true;
      });
    },
    read(collection, selection, from, nowMs) {
      const found = select(collection, selection, from, nowMs);
      // The least key after the last one.
      const next = found.length < pageRows ? null : `${String(found.at(-1)!['key'])}\0`;
      return { rows: new Map(found.map((record) => [String(record['key']), toRow(record)])), applied: lastBatch(), next };
    },
    check,
    close: () => connection.close(),
  };
}

function toRow(record: Record<string, unknown>): Row {
  const expiresAt = record['expires_at'];
  return { text: String(record['value']), expiresAtMs: typeof expiresAt === 'number' ? expiresAt : null };
}
