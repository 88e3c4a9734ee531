import type { DatabaseSync } from 'node:sqlite';

/** Does the work wholly or not at all. Takes the write lock at once, so that nothing fails half way for want of it. */
export function inTransaction<T>(connection: DatabaseSync, work: () => T): T {
  connection.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    connection.exec('COMMIT');
    return result;
  } catch (error) {
    if (connection.isTransaction) connection.exec('ROLLBACK'); // a full disk may have ended it already
    throw error;
  }
}
