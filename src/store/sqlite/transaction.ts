import type { DatabaseSync } from 'node:sqlite';

/** Runs the work as one transaction. Takes the write lock first, so that no statement fails halfway for lack of it. */
export function inTransaction<T>(connection: DatabaseSync, work: () => T): T {
  connection.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    connection.exec('COMMIT');
    return result;
  } catch (error) {
    if (connection.isTransaction) connection.exec('ROLLBACK'); // a full disk may have rolled it back already
    throw error;
  }
}
