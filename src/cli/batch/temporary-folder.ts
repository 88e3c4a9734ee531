import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';

export function temporaryFolder(prefix: string): string {
  try {
    return mkdtempSync(join(tmpdir(), prefix));
  } catch (error) {
    throw new OperatorError([`${tmpdir()}: the folder for temporary files cannot be used (${writeFault(error)}); TMPDIR selects another`]);
  }
}
