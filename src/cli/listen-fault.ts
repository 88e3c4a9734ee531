import { OperatorError } from './fail.ts';

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'this user may not',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host name could not be looked up',
};

/** What kept a listener from its address, as a line for the operator; any other error as it is. `path` names the setting. */
export function listenFault(error: unknown, host: string, port: number, path: string): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  const cause = code === undefined ? undefined : causes[code];
  if (cause === undefined) return error;
  return new OperatorError([`${path}: can't listen on ${host}:${port}: ${cause} (${code})`]);
}
