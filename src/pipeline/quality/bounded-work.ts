/**
 * Runs something short that somebody else's words decide the length of: a schema of a caller's, an expression of an operator's. V8
 * itself breaks it off, wherever it is, expressions included. Costs about a quarter of a millisecond.
 */
import vm from 'node:vm';

const sandbox = vm.createContext({ work: null as (() => unknown) | null });
const script = new vm.Script('work()');

/** On a busy machine this thread may have had little of the time that passed: then it is tried again, with twice the time. */
const TRIES_MAX = 4;
const OWN_SHARE_MIN = 0.6;

/**
 * What `work` returns; undefined: it took longer than `limitMs` of this thread's own time, and was broken off wherever it was. It may be
 * begun several times, so it must have no effects.
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
