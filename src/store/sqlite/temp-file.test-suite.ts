import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** The path of a file that does not exist yet, in a folder that is removed after the test. */
export function tempFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-store-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'state.db');
}
