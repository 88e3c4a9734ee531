/** Which processes can be told apart by their number. */
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** A host, and on Linux the namespace in which it counts its processes: a container counts its own. */
export function machineName(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** There is surely no process of this number. */
export function isProcessGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
