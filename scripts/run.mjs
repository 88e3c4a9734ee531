// Runs a child as if it were this process: its exit code, its end by a signal, and the signals it is sent.
//
// One Ctrl-C arrives here twice: from the terminal, which signals the whole group, and from npm, which passes
// on what it got. The gateway takes a second signal as "now, at once", so it must see each only once. It
// therefore runs in a group of its own, out of the terminal's reach, and this process is the only one that
// signals it: repeats within a moment are one. A pipe that ends with this process takes the child along even
// when this one is killed outright.
import { spawn } from 'node:child_process';

const sameSignalMs = 300;
const onWindows = process.platform === 'win32';

/**
 * Runs `command args` with this process's standard streams and ends this process as the child ends. What the child
 * leaves running is ended with it. After `limitMs` the child is asked to end, and says what it knows. `onFailure` is asked
 * when it ended with an error: it returns true where something else goes on.
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
  passSignals(child);
  const limit = limitMs && setTimeout(() => child.kill('SIGTERM'), limitMs).unref();
  child.on('error', (error) => {
    process.stderr.write(`breakwater: cannot run ${command}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    endGroup(child.pid);
    clearTimeout(limit);
    if (!signal && code !== 0 && onFailure?.()) return;
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

// A thread that spins keeps a process from hearing any signal but this one.
function endGroup(pid) {
  if (onWindows) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing was left.
  }
}

function passSignals(child) {
  const lastMs = new Map();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const nowMs = performance.now();
      const isRepeat = nowMs - (lastMs.get(signal) ?? -Infinity) < sameSignalMs;
      lastMs.set(signal, nowMs);
      // The console of Windows has told the child already.
      if (!isRepeat && !onWindows) child.kill(signal);
    });
  }
}
