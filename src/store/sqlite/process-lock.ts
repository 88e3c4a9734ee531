/**
 * Detects whether another process uses a database file. The first process locks a file beside it by SQLite: the system releases the lock
 * however the process ends, so no process id has to be trusted.
 */
import { closeSync, existsSync, openSync, realpathSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const BUSY = 5;

/** The lock, to be closed; `held`: another process (or another store of this one) has it; null: not detectable here. */
export function holdLock(path: string): DatabaseSync | 'held' | null {
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
