import { OperatorError } from './fail.ts';

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use by another process',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'the host name could not be resolved',
};

/** Turns a listen error into a message for the operator; other errors are returned unchanged. `path` names the setting. */
export function listenFault(error: unknown, host: string, port: number, path: string): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const cause = code === undefined ? undefined : causes[code];
  if (cause === undefined) return error;
  return new OperatorError([`${path}: can't listen on ${host}:${port}: ${cause} (${code})`]);
}
