import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** The path of a file that isn't there yet, in a folder that the test takes away with it. */
export function tempFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-store-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'state.db');
}
