import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('the command of a checkout without a build says what to run', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-unbuilt-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await cp(fileURLToPath(new URL('../../bin', import.meta.url)), join(folder, 'bin'), { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin', 'breakwater.cjs'), '--version'], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^breakwater: this checkout is not built: run npm run build first, .*\n$/);
});
