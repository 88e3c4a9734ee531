/**
 * Binds a unix socket.
 *
 * A process that was killed leaves its socket file behind, and `bind` then fails. The file is replaced only if it is a socket that refuses
 * connections; a socket in use and any other kind of file are errors.
 *
 * Several processes may start at once, so each step that can succeed for one process only is atomic: the server is bound under a name of its
 * own, which is then linked to the path or, with a claim on the stale file, renamed to it. It also means that Node.js, which removes the name
 * that was bound when the server closes, never removes the socket of another process.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, linkSync, lstatSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';

export interface UnixSocket {
  readonly path: string;
  /** Permissions of the file. */
  readonly mode: number;
}

/** The file may be removed between two steps. */
const TRIES_MAX = 3;

/** Rejects with the error of Node.js: `EADDRINUSE` for a socket in use, `EEXIST` for a file that is not a socket. */
export async function bindUnixSocket(server: Server, { path, mode }: UnixSocket): Promise<void> {
  // Hardly longer than the path, whose length the system limits.
  const own = join(dirname(path), `.${randomBytes(8).toString('hex')}`.slice(0, Math.max(8, basename(path).length)));
  await listenPrivately(server, own);
  const { ino } = lstatSync(own);
  try {
    chmodSync(own, mode);
    await publish(own, path);
  } catch (error) {
    server.close();
    throw error;
  }
  server.once('close', () => {
    if (inodeOf(path) === ino) succeeds('ENOENT', () => unlinkSync(path));
  });
}

/** Without access for others, so that no other user can connect before the mode is set. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const umask = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

async function publish(own: string, path: string): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (succeeds('EEXIST', () => linkSync(own, path))) return unlinkSync(own);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) continue;
    if (!found.isSocket()) throw Object.assign(new Error(`${path} exists and is not a socket`), { code: 'EEXIST' });
    if (!(await isInUse(path)) && replace(path, found.ino, own)) return;
    if (inodeOf(path) !== null) break;
  }
  throw Object.assign(new Error(`${path} is in use`), { code: 'EADDRINUSE' });
}

/** Replaces the stale file with this inode; false if another process does or has done so. */
function replace(path: string, stale: number, own: string): boolean {
  const claim = `${path}.${stale}`;
  if (!succeeds('EEXIST', () => closeSync(openSync(claim, 'wx')))) return false;
  try {
    if (inodeOf(path) !== stale) return false;
    renameSync(own, path);
    return true;
  } finally {
    unlinkSync(claim);
  }
}

/** False: it failed with this code. */
function succeeds(code: string, run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return false;
    throw error;
  }
}

/** Null: there is no file. */
function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

function isInUse(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    const end = (inUse: boolean): void => {
      probe.destroy();
      resolve(inUse);
    };
    probe.on('connect', () => end(true));
    probe.on('error', ({ code }: NodeJS.ErrnoException) => end(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
}
