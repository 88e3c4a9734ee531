// npm test: installs dependencies, then runs every test. `npm test -- --unit` runs only unit tests; named files or
// patterns run only those; other arguments are passed to Node's test runner.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { buildDashboardOnce, bundleOnce } from './build-once.mjs';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';
import { writeGroups } from './test-groups.mjs';

/** Limit for a hanging test, so that the runner's summary is printed in any case. */
const limitMs = 17 * 60_000;

/** The command is ready long before, and ends gracefully then. */
const warmMs = 3_000;

/** With more failed files than this, nothing is repeated. */
const failedFilesMax = 5;

const isFile = (arg) => arg.endsWith('.test.ts') && !arg.startsWith('-');

const given = process.argv.slice(2).filter((arg) => arg !== '--unit');
const units = ['src', 'dashboard/src'];
const everything = process.argv.includes('--unit') ? units : [...units, 'test'];
const files = given.filter(isFile);
const once = ['--test', '--test-reporter=spec', '--test-timeout=180000'];
/** Temporary files of the tests too, so that those of killed processes are removed. */
const folder = mkdtempSync(join(tmpdir(), 'breakwater-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const record = join(folder, 'failed-files');
const recording = [
  '--test-reporter-destination=stdout',
  `--test-reporter=${new URL('failed-files.mjs', import.meta.url)}`,
  `--test-reporter-destination=${record}`,
];
const options = given.filter((arg) => !isFile(arg));
const isWhole = files.length === 0 && options.length === 0;
const node = setUp();
buildDashboardOnce(node);
const command = isWhole ? bundleOnce(node) : undefined;
const env = childEnv({ NODE_ENV: 'test', TMPDIR: folder, ...(command && { TEST_COMMAND: command }) });
if (command) warmCommand();

const first = [
  ...once,
  ...recording,
  // One process only waits, and others wait at times: two more than there are cores keep these busy.
  `--test-concurrency=${availableParallelism() + 2}`,
  ...options,
  ...(files.length > 0 ? files : writeGroups(everything, { root, folder })),
];
runAsThis(node, first, { cwd: root, env, limitMs, onFailure: files.length !== 1 && options.length === 0 ? repeatAlone : undefined });

/** Many tests kill the command, which then writes no compile cache, so it runs and ends once if there is none. */
function warmCommand() {
  const own = childEnv({}, 'compile-command');
  if (existsSync(own.NODE_COMPILE_CACHE)) return;
  const args = [command, 'serve', '--demo', '--port', '0'];
  spawnSync(node, args, { cwd: folder, env: own, stdio: 'ignore', timeout: warmMs });
}

/**
 * Some tests measure time or memory and can fail when tests share the machine, so each failed file runs once more,
 * alone, and is listed. Returns true if anything was repeated.
 */
function repeatAlone() {
  const failed = existsSync(record) ? readFileSync(record, 'utf8').split('\n').filter(Boolean) : [];
  if (failed.length === 0 || failed.length > failedFilesMax) return false;
  process.stdout.write(`\ntest: failed in parallel, repeated alone:\n${failed.map((file) => `  ${relative(root, file)}\n`).join('')}\n`);
  runAsThis(node, [...once, '--test-concurrency=1', ...failed], { cwd: root, env, limitMs });
  return true;
}
