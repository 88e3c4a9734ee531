/**
 * Binds a unix socket.
 *
 * A process that was killed leaves its socket file behind, and `bind` then fails. The file is removed only if it is a socket that refuses
 * connections; a socket in use and any other kind of file are errors.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';

export interface UnixSocket {
  readonly path: string;
  /** Permissions of the file. */
  readonly mode: number;
}

/** Rejects with the error of Node.js: `EADDRINUSE` for a socket in use, `EEXIST` for a file that is not a socket. */
export async function bindUnixSocket(server: Server, { path, mode }: UnixSocket): Promise<void> {
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Bound with no access for others, so that no other user can connect before the mode is set.
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
  chmodSync(path, mode);
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw Object.assign(new Error(`${path} exists and is not a socket`), { code: 'EEXIST' });
  if (await isInUse(path)) throw Object.assign(new Error(`${path} is in use`), { code: 'EADDRINUSE' });
  unlinkSync(path);
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
