/** An error that the operator has to fix: its lines are printed as they are, without a stack. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/** Exits with code 1 and one line per fault on stderr; unexpected errors are printed with their stack. */
export function fail(error: unknown): never {
  const lines = error instanceof OperatorError ? error.lines : [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  process.stderr.write(lines.map((line) => `breakwater: ${line}\n`).join(''));
  process.exit(1);
}

/** As SIGPIPE does for other programs. */
const BROKEN_PIPE_CODE = 141;

/** Ends the process quietly once nothing reads its output any more, as in `| head`. */
export function endWithReader(): void {
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => process.exit(code === 'EPIPE' ? BROKEN_PIPE_CODE : 1));
}
