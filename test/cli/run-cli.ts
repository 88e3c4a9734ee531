/** The command line as a child process, in an environment that holds no keys of the machine it runs on. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { commandCache, commandFile } from './command.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The limit of open files. Default: that of the tests. */
  readonly openFiles?: number;
}

export interface CliProcess {
  readonly child: ChildProcess;
  /** What it wrote so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves when one of its streams holds a match, with the match. Rejects if the process ends before. */
  readonly until: (stream: 'stdout' | 'stderr', pattern: RegExp) => Promise<RegExpExecArray>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
}

export function startCli(args: readonly string[], { cwd = tmpdir(), env = {}, openFiles }: RunOptions = {}): CliProcess {
  const { PATH = '', HOME = '' } = process.env;
  const command = [process.execPath, commandFile, ...args];
  const limited = openFiles === undefined ? command : ['sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...command];
  const own = { PATH, HOME, NODE_COMPILE_CACHE: commandCache() };
  const child = spawn(limited[0]!, limited.slice(1), { cwd, env: { ...own, ...env }, stdio: 'pipe' });
  const text = { stdout: '', stderr: '' };
  const onText = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (piece: string) => {
      text[stream] += piece;
      for (const look of onText) look();
    });
  }
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => (code ?? signal) as number | string | null);
  return {
    child,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    ended,
    until: (stream, pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(text[stream]);
          if (match === null) return;
          onText.delete(look);
          resolve(match);
        };
        onText.add(look);
        look();
        void ended.then((code) => reject(new Error(`ended with ${code} before ${pattern}: ${text.stdout}${text.stderr}`)));
      }),
  };
}

/** Runs it to its end. */
export async function runCli(
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const cli = startCli(args, options);
  const code = await cli.ended;
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}
