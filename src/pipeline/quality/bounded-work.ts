/**
 * Runs short work whose duration depends on untrusted input: a caller's schema, an operator's regular expression. V8 itself interrupts it,
 * even within a regular expression. Costs about a quarter of a millisecond.
 */
import vm from 'node:vm';

const sandbox = vm.createContext({ work: null as (() => unknown) | null });
const script = new vm.Script('work()');

/** On a busy machine this thread may have been idle for most of the time: then the work is retried with twice the limit. */
const TRIES_MAX = 4;
const OWN_SHARE_MIN = 0.6;

/**
 * The result of `work`; undefined: it was interrupted after more than `limitMs` of this thread's CPU time. `work` may be started several
 * times, so it must have no side effects.
 */
export function tryWithin<T>(limitMs: number, work: () => T): T | undefined {
  sandbox['work'] = work;
  try {
    for (let tries = 1, timeout = limitMs; tries <= TRIES_MAX; tries++, timeout *= 2) {
      const before = process.threadCpuUsage();
      try {
        return script.runInContext(sandbox, { timeout }) as T;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      }
      const { user, system } = process.threadCpuUsage(before);
      if (user + system >= limitMs * 1000 * OWN_SHARE_MIN) return undefined;
    }
    return undefined;
  } finally {
    sandbox['work'] = null;
  }
}
