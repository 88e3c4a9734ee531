import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A folder for models, which goes with the test. */
export function modelFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-models-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
