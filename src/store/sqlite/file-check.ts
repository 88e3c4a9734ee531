/** Checks whether a path still names the opened database. */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { StoreFailure } from '../backend.ts';

/** The magic bytes at the start of every SQLite file. */
const magic = Buffer.from('SQLite format 3\0');
const magicLength = magic.length;

/** Opening a pipe or a device would hang the thread, and with it the exit of the process. */
export function requireRegularFile(path: string): void {
  if (isAddress(path) || !existsSync(path)) return;
  if (!statSync(path).isFile()) throw new StoreFailure('unavailable', 'it is not a file');
}

/** Records the current file; the check throws `replaced` if the path names another one, or none. */
export function createFileCheck(path: string): () => void {
  if (isAddress(path)) return () => {};
  const opened = statSync(path);
  const header = Buffer.alloc(magicLength);
  return () => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new StoreFailure('replaced', 'its file was deleted');
    if (found.ino !== opened.ino || found.dev !== opened.dev) throw new StoreFailure('replaced', 'its file was replaced by another one');
    // With a write-ahead log even the header of a new file may be in the log only.
    if (found.size > 0 || opened.size > 0) requireMagic(path, header);
  };
}

function requireMagic(path: string, header: Buffer): void {
  const descriptor = openSync(path, 'r');
  try {
    const length = readSync(descriptor, header, 0, magicLength, 0);
    if (length !== magicLength || !header.equals(magic)) throw new StoreFailure('replaced', 'its file was overwritten');
  } finally {
    closeSync(descriptor);
  }
}

/** SQLite accepts `file:` URIs as paths. */
function isAddress(path: string): boolean {
  return path.startsWith('file:');
}
