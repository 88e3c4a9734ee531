import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { isBuiltin } from 'node:module';
import { test } from 'node:test';

const MB = 1024 * 1024;

/** Allocates 100 MB, frees all but some small blocks among them, and prints the resident memory before and after. */
const script = `
  import { trimMalloc } from ${JSON.stringify(new URL('trim-malloc.ts', import.meta.url).href)};
  let blocks = Array.from({ length: 100_000 }, () => Buffer.allocUnsafeSlow(1_024).fill(1));
  globalThis.kept = blocks.filter((_, i) => i % 200 === 0);
  blocks = null;
  gc();
  // A task after the collection frees the memory of buffers.
  while (process.memoryUsage().arrayBuffers > ${MB}) await new Promise(setImmediate);
  const before = process.memoryUsage.rss();
  trimMalloc();
  console.log(before, process.memoryUsage.rss());
`;

const isGlibc = process.platform === 'linux' && 'glibcVersionRuntime' in (process.report.getReport() as { header: object }).header;

test('free memory between blocks in use returns to the system, without a warning', { skip: !isGlibc || !isBuiltin('node:ffi') }, () => {
  const args = ['--expose-gc', '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 10_000 });
  assert.equal(stderr, '');
  const [before, after] = stdout.split(' ').map(Number) as [number, number];
  assert.ok(before - after > 50 * MB, stdout);
});
