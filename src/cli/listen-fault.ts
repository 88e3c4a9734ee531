import { OperatorError } from './fail.ts';

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use by another process',
  EACCES: 'permission denied',
  EEXIST: 'the file exists and is not a socket',
  ENOENT: 'its folder does not exist',
  EINVAL: 'the path is too long for a socket, or not valid',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'the host name could not be resolved',
};

/** Turns a listen error into a message for the operator; other errors are returned unchanged. `setting` is its path in the config. */
export function listenFault(error: unknown, address: string, setting: string): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const cause = code === undefined ? undefined : causes[code];
  if (cause === undefined) return error;
  return new OperatorError([`${setting}: can't listen on ${address}: ${cause} (${code})`]);
}
