/** Something that the operator has to put right: its lines are shown as they are, without a stack. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/** Ends the process with code 1 and one line for each fault on stderr; a bug keeps its stack. */
export function fail(error: unknown): never {
  const lines = error instanceof OperatorError ? error.lines : [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  process.stderr.write(lines.map((line) => `breakwater: ${line}\n`).join(''));
  process.exit(1);
}
