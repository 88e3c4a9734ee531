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

/** Runs `command args` with this process's standard streams and ends this process as the child ends. */
export function runAsThis(command, args, { cwd, env }) {
  const ending = new URL('end-with-parent.mjs', import.meta.url).href;
  const child = spawn(command, ['--import', ending, ...args], {
    cwd,
    env: { ...env, BREAKWATER_PARENT_PIPE: '3' },
    detached: !onWindows,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  child.stdio[3]?.on('error', () => {});
  passSignals(child);
  child.on('error', (error) => {
    process.stderr.write(`breakwater: cannot run ${command}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Runs `command args` in this process's own group: for work of which a signal may arrive twice without harm. */
export function runBeside(command, args, { cwd, env }) {
  const child = spawn(command, args, { cwd, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal ? 130 : 1)));
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
