/**
 * Which process uses a database file. The first one holds a lock on a file beside it, by SQLite itself: the system lets go of it however
 * the process ends, and no number of a process has to be believed.
 */
import { closeSync, existsSync, openSync, realpathSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const BUSY = 5;

/** The lock, to be closed; `held`: another process (or another store of this one) has it; null: that can't be told here. */
export function holdLock(path: string): DatabaseSync | 'held' | null {
  if (path.startsWith('file:')) return null;
  let lock: DatabaseSync | null = null;
  try {
    const file = `${realpathSync(path)}-lock`;
    // To close a file that this process has locked would let go of the lock.
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
