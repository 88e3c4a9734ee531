/** Starts processes on dedicated cores, suspends and resumes them, and reads their resource usage (Linux). */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { HeapCounts } from './probe.ts';

/** The measured contender has the first core to itself; load and upstream share the second. */
export const cores = { contender: 0, load: 1 };

export const canPin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;

/** A command that runs `command` on one core, or `command` itself if pinning is unavailable. */
export function pinned(core: number, command: readonly string[]): string[] {
  return canPin ? ['taskset', '--cpu-list', String(core), ...command] : [...command];
}

/** In milliseconds. */
export interface CpuTime {
  readonly process: number;
  readonly mainThread: number;
}

export interface Running {
  readonly url: string;
  /** From process start to the line with its address. */
  readonly startMs: number;
  pause(): void;
  resume(): void;
  /** Resident memory now, in MB. */
  memoryMb(): number;
  /** CPU time used so far. */
  cpu(): CpuTime;
  /** Undefined for processes without a probe. */
  heap(): Promise<HeapCounts | undefined>;
  stop(): Promise<void>;
}

export interface Start {
  readonly command: readonly string[];
  readonly core: number;
  /** Set for programs that do not print their address. */
  readonly url?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it has loaded `probe.ts`. */
  readonly isProbed?: boolean;
}

const listeningTimeoutMs = 15_000;

export async function start({ command, core, url, cwd, env, isProbed = false }: Start): Promise<Running> {
  const [file = '', ...args] = pinned(core, command);
  const startedAt = performance.now();
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(isProbed ? (['ipc'] as const) : [])],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const found = await (url === undefined ? listeningUrl(child) : answering(url, child));
  const startMs = performance.now() - startedAt;
  child.stderr!.removeAllListeners('data').resume();
  const pid = child.pid ?? 0;
  return {
    url: found,
    startMs,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    memoryMb: () => residentMb(pid),
    cpu: () => cpuTime(pid),
    heap: () => (isProbed ? askHeap(child) : Promise.resolve(undefined)),
    async stop() {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function listeningUrl(child: ChildProcess): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail('does not listen'), listeningTimeoutMs);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${child.spawnargs.join(' ')}: ${why}\n${said.slice(-2000)}`));
    };
    child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    child.stdout?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const url = /listening on (https?:\/\/\S+)/.exec(said)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url.replace(/\/$/, ''));
    });
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`exited with ${code}`));
  });
}

async function answering(url: string, child: ChildProcess): Promise<string> {
  const until = performance.now() + listeningTimeoutMs;
  while (performance.now() < until && child.exitCode === null) {
    const isThere = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isThere) return url;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  throw new Error(`${child.spawnargs.join(' ')} does not respond at ${url}`);
}

function residentMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

/** The kernel counts nanoseconds per thread; finished threads are not included. */
function cpuTime(pid: number): CpuTime {
  let process = 0;
  let mainThread = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const ms = Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
    process += ms;
    if (Number(thread) === pid) mainThread = ms;
  }
  return { process, mainThread };
}

function askHeap(child: ChildProcess): Promise<HeapCounts> {
  return new Promise((resolve) => {
    child.once('message', (counts) => resolve(counts as HeapCounts));
    child.send('heap');
  });
}

/** Busy time of a core since boot, in milliseconds, in steps of 10. */
export function busyMs(core: number): number {
  const fields = new RegExp(`^cpu${core} (.+)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1]?.split(' ').map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = fields;
  return (user + nice + system + interrupts + softInterrupts + stolen) * 10;
}
