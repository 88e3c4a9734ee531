import { StoreFailure } from '../backend.ts';

/** SQLite's primary result codes and the system's error codes, as faults of a store. */
const faultsByCode = new Map<unknown, StoreFailure['fault']>([
  [5, 'locked'],
  [6, 'locked'],
  [8, 'read_only'],
  [10, 'io_error'],
  [11, 'corrupt'],
  [13, 'full'],
  [14, 'unavailable'],
  [23, 'read_only'],
  [26, 'corrupt'],
  ['ENOENT', 'unavailable'],
  ['ENOTDIR', 'unavailable'],
  ['EISDIR', 'unavailable'],
  ['ENOSPC', 'full'],
  ['EDQUOT', 'full'],
  ['EACCES', 'read_only'],
  ['EPERM', 'read_only'],
  ['EROFS', 'read_only'],
]);

/** An error of the database as a store failure for the main thread. */
export function toSqliteFailure(error: unknown): StoreFailure {
  if (error instanceof StoreFailure) return error;
  const { code, errcode, message } = error as { code?: unknown; errcode?: unknown; message?: unknown };
  // The lower byte is the primary code; the upper ones are details.
  const fault = faultsByCode.get(typeof errcode === 'number' ? errcode & 0xff : code) ?? 'io_error';
  return new StoreFailure(fault, String(message), { cause: error });
}
