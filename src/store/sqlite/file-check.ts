/** Whether the file under a path is still the database that was opened. */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { StoreFailure } from '../backend.ts';

/** SQLite's own magic, and from where an application's number stands in the header. */
const magic = Buffer.from('SQLite format 3\0');
const magicLength = magic.length;

/** To open a pipe or a device would hang the thread, and with it the end of the process. */
export function requireRegularFile(path: string): void {
  if (isAddress(path) || !existsSync(path)) return;
  if (!statSync(path).isFile()) throw new StoreFailure('unavailable', 'it is not a file');
}

/** Remembers the file that is there now; the check throws `replaced` once another one is, or none. */
export function createFileCheck(path: string): () => void {
  if (isAddress(path)) return () => {};
  const opened = statSync(path);
  const header = Buffer.alloc(magicLength);
  return () => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new StoreFailure('replaced', 'its file was deleted');
    if (found.ino !== opened.ino || found.dev !== opened.dev) throw new StoreFailure('replaced', 'its file was replaced by another one');
    // With a write-ahead log even the header of a new file may be there only.
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

/** SQLite takes URLs of its own as paths. */
function isAddress(path: string): boolean {
  return path.startsWith('file:');
}
