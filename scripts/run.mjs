// Runs a child in place of this process: passes on its exit code, its terminating signal, and received signals.
//
// A Ctrl-C arrives here twice: from the terminal, which signals the whole process group, and from npm, which
// forwards it. The gateway treats a second signal as "exit now", so it must receive each only once. It therefore
// runs in its own process group, which the terminal does not signal, and this process forwards signals and drops
// repeats within a moment. A pipe that closes with this process terminates the child even if this one is killed.
import { spawn } from 'node:child_process';

const sameSignalMs = 300;
const onWindows = process.platform === 'win32';

/**
 * Runs `command args` with this process's standard streams, and exits as the child does. Processes that the child
 * leaves running are killed. After `limitMs` the child gets SIGTERM, so that it can report. `onFailure` is called if
 * the child failed and was not stopped; it returns true if it continues with something else.
 */
export function runAsThis(command, args, { cwd, env, limitMs, onFailure }) {
  const ending = new URL('end-with-parent.mjs', import.meta.url).href;
  const child = spawn(command, ['--import', ending, ...args], {
    cwd,
    env: { ...env, BREAKWATER_PARENT: String(process.pid) },
    detached: !onWindows,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  child.stdio[3]?.on('error', () => {});
  let isStopped = false;
  passSignals(child, () => (isStopped = true));
  const stop = () => {
    isStopped = true;
    child.kill('SIGTERM');
  };
  const limit = limitMs && setTimeout(stop, limitMs).unref();
  child.on('error', (error) => {
    process.stderr.write(`breakwater: cannot run ${command}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    endGroup(child.pid);
    clearTimeout(limit);
    if (!signal && code !== 0 && !isStopped && onFailure?.()) return;
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

// A process blocked in a busy loop reacts only to SIGKILL.
function endGroup(pid) {
  if (onWindows) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // No process is left.
  }
}

function passSignals(child, onSignal) {
  const lastMs = new Map();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const nowMs = performance.now();
      const isRepeat = nowMs - (lastMs.get(signal) ?? -Infinity) < sameSignalMs;
      lastMs.set(signal, nowMs);
      onSignal();
      // The Windows console has signalled the child already.
      if (!isRepeat && !onWindows) child.kill(signal);
    });
  }
}
