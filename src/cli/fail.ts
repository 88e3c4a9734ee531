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
