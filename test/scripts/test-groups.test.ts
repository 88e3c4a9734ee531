/** The processes in which `npm test` runs the test files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { root } from '../tidy/scan.ts';

const PATTERNS = ['src/**/*.test.ts', 'dashboard/src/**/*.test.ts', 'test/**/*.test.ts'];

/** Runs an expression over the module, and returns its value. */
function evaluate<T>(expression: string): T {
  const script = `import * as groups from './scripts/test-groups.mjs'; console.log(JSON.stringify(${expression}))`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: root, encoding: 'utf8' })) as T;
}

test('each test file runs in exactly one process, and each name in the lists is a file', () => {
  const files = globSync(PATTERNS, { cwd: root, exclude: ['**/node_modules/**'] }).map((path) => path.replaceAll('\\', '/'));
  const [groups, named] = evaluate<[string[][], string[]]>(`[groups.groupsOf(${JSON.stringify(files)}), groups.named]`);
  assert.deepEqual(groups.flat().toSorted(), files.toSorted());
  assert.deepEqual(
    named.filter((name) => !files.includes(name)),
    [],
  );
});

test('each process gets a file that imports its members, and the longest come first', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-groups-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const given = JSON.stringify({ root, folder });
  const [paths, named] = evaluate<[string[], string[]]>(`[groups.writeGroups(['src', 'dashboard/src', 'test'], ${given}), groups.named]`);
  assert.deepEqual(paths, paths.toSorted(), 'the runner sorts them');
  assert.ok(readFileSync(paths[0]!, 'utf8').includes(named[0]!));
  for (const path of paths) assert.match(readFileSync(path, 'utf8'), /^(import "file:\/\/.+\.test\.ts";\n)+$/);
  const files = globSync(PATTERNS, { cwd: root, exclude: ['**/node_modules/**'] });
  assert.equal(paths.flatMap((path) => readFileSync(path, 'utf8').trim().split('\n')).length, files.length);
});

/** A Node.js of this machine that is older than the checkout's own. */
const oldNode = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'node'))
  .find((path) => existsSync(path) && Number(execFileSync(path, ['-p', 'process.versions.node.split(".")[0]'], { encoding: 'utf8' })) < 24);

const skip = oldNode === undefined ? 'there is no older Node.js in PATH' : false;
test('an older Node.js, which runs npm start and npm test on a bare checkout, can load what they load', { skip }, () => {
  for (const name of ['setup', 'run', 'build-once', 'test-groups'])
    execFileSync(oldNode!, ['--input-type=module', '--eval', `await import('./scripts/${name}.mjs')`], { cwd: root });
});
