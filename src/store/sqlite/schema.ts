/** The schema of the file and its version. A file of another program, or of a newer version, is not changed. */
import type { DatabaseSync } from 'node:sqlite';
import { StoreFailure } from '../backend.ts';
import { JOB_TABLES } from '../jobs/job-schema.ts';
import { inTransaction } from './transaction.ts';

/** "BWtr" in the file's header identifies the program. */
const applicationId = 0x42577472;

/** Each step migrates from the version of its index to the next. Steps are never changed, only added. */
const migrations: readonly string[] = [
  `CREATE TABLE entries (
     collection TEXT NOT NULL,
     key TEXT NOT NULL,
     value TEXT NOT NULL,
     expires_at INTEGER,
     PRIMARY KEY (collection, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
   CREATE TABLE writers (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     batch INTEGER NOT NULL,
     seen_at INTEGER NOT NULL
   ) STRICT;`,
  `CREATE TABLE answers (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     key TEXT NOT NULL UNIQUE,
     value BLOB NOT NULL,
     expires_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX answers_by_expiry ON answers (expires_at);`,
  ...JOB_TABLES,
];

/** A process without a write for this time does not repeat a batch. */
const writerLifetimeMs = 7 * 24 * 60 * 60 * 1_000;

/** Checks the owner of the file, migrates it and registers the writer, which also shows that it is writable. */
export function prepareSchema(connection: DatabaseSync, writer: number | null, nowMs: number): number {
  checkOwner(connection); // before the first statement that would write
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216');
  return inTransaction(connection, () => {
    const version = checkOwner(connection); // another process may have been faster
    for (const step of migrations.slice(version)) connection.exec(step);
    connection.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}`);
    return registerWriter(connection, writer, nowMs);
  });
}

/** The file's version; 0 for a new file. */
function checkOwner(connection: DatabaseSync): number {
  const version = pragma(connection, 'user_version');
  const owner = pragma(connection, 'application_id');
  const tables = Number(connection.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.['count']);
  if (owner !== applicationId && (owner !== 0 || version !== 0 || tables > 0)) {
    throw new StoreFailure('foreign', 'the file is a database of another program; it is not changed');
  }
  if (version > migrations.length) {
    throw new StoreFailure(
      'newer_version',
      `the file was written by a newer Breakwater (version ${version}; this one supports ${migrations.length}); it is not changed`,
    );
  }
  return version;
}

function pragma(connection: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(connection.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function registerWriter(connection: DatabaseSync, writer: number | null, nowMs: number): number {
  const at = Math.floor(nowMs);
  connection.prepare('DELETE FROM writers WHERE seen_at < ? AND id IS NOT ?').run(at - writerLifetimeMs, writer);
  if (writer !== null && connection.prepare('SELECT 1 FROM writers WHERE id = ?').get(writer) !== undefined) return writer;
  return Number(connection.prepare('INSERT INTO writers (batch, seen_at) VALUES (0, ?)').run(at).lastInsertRowid);
}
