/** The scope in which process ids are unique. */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** The host, and on Linux its PID namespace: a container has its own. */
export function machineName(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** Of the running system; of this process where there is none, so that no two machines are taken for one. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return `${process.pid} ${performance.timeOrigin}`;
  }
}

/** True if no process has this id. */
export function isProcessGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
