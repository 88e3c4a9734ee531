/**
 * Detects whether another process uses a database file. The first process takes an SQLite lock on a file beside it, which the system
 * releases however the process ends; process ids are not needed.
 */
import { closeSync, existsSync, openSync, realpathSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const BUSY = 5;

/** The lock, to be closed; `held` if another process (or another store of this one) has it; null if it can't be detected here. */
export function acquireLock(path: string): DatabaseSync | 'held' | null {
  if (path.startsWith('file:')) return null;
  let lock: DatabaseSync | null = null;
  try {
    const file = `${realpathSync(path)}-lock`;
    // Closing a file that this process has locked would release the lock.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
    lock = new DatabaseSync(file, { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    const { errcode } = error as { errcode?: unknown };
    return typeof errcode === 'number' && (errcode & 0xff) === BUSY ? 'held' : null;
  }
}
