/** The worker thread of the database, so that a slow or hung disk never blocks the event loop. */
import { parentPort } from 'node:worker_threads';
import { openDatabase, type SqliteDatabase } from './database.ts';
import { acquireLock } from './process-lock.ts';
import type { SqliteReply, SqliteRequest, SqliteResults } from './messages.ts';
import { toSqliteFailure } from './sqlite-failure.ts';

let database: SqliteDatabase | undefined;
let lock: ReturnType<typeof acquireLock> = null;

function run(request: SqliteRequest): SqliteResults[keyof SqliteResults] {
  if (request.kind === 'open') {
    database = openDatabase(request.path, request.writer, request.nowMs);
    lock = request.locks ? acquireLock(request.path) : null;
    return { writer: database.writer, isShared: lock === 'held' };
  }
  if (database === undefined) throw new Error('the database is not open');
  if (request.kind !== 'close') database.check();
  if (request.kind === 'read') return database.read(request.collection, request.selection, request.from, request.nowMs);
  if (request.kind === 'replace') return database.replace(request.replacement);
  if (request.kind === 'putResponses') database.responses.put(request.rows, request.bounds, request.nowMs);
  else if (request.kind === 'getResponse') return database.responses.get(request.key, request.nowMs);
  else if (request.kind === 'responseKeys') return database.responses.keys(request.nowMs);
  else if (request.kind === 'jobs') return database.jobs().run(request.calls);
  else if (request.kind === 'hasJobs') return database.hasJobs();
  else if (request.kind === 'apply') database.apply(request.batch, request.nowMs);
  else if (request.kind === 'close') close(database);
  return null;
}

function close(open: SqliteDatabase): void {
  open.close();
  if (lock !== 'held') lock?.close();
}

function reply(request: SqliteRequest): SqliteReply {
  try {
    return { id: request.id, ok: true, result: run(request) };
  } catch (error) {
    const { fault, message } = toSqliteFailure(error);
    return { id: request.id, ok: false, fault, message };
  }
}

parentPort?.on('message', (request: SqliteRequest) => parentPort?.postMessage(reply(request)));
