// Builds what a checkout runs, if its source has changed: the dashboard, and the bundle of the gateway. A failed build is reported and not
// fatal. Each build takes a second or two.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, root } from './setup.mjs';

const dist = join(root, 'dist');
const cache = join(root, 'node_modules', '.cache');
const stampFile = join(cache, 'dashboard-stamp');
/** An overloaded machine starts without the result. */
const timeoutMs = 60_000;
/** A gateway that runs from an older bundle may load parts of it later. */
const bundlesMax = 8;

export function buildDashboardOnce(node) {
  try {
    const stamp = hashOf(join(root, 'dashboard'));
    if (existsSync(join(dist, 'dashboard', 'index.html')) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
    run(node, ['scripts/build-dashboard.mjs']);
    mkdirSync(cache, { recursive: true });
    writeFileSync(stampFile, stamp);
  } catch (error) {
    process.stderr.write(`breakwater: the dashboard could not be built (${error.message}); the gateway runs without it\n`);
  }
}

/** Returns the file to run: of the bundle, else the source. */
export function bundleOnce(node) {
  try {
    const folder = join(dist, `start-${hashOf(join(root, 'src')).slice(0, 16)}`);
    const main = join(folder, 'main.js');
    if (existsSync(main)) utimesSync(folder, new Date(), new Date());
    else {
      run(node, ['scripts/bundle.mjs', folder]);
      removeOldBundles();
    }
    return main;
  } catch (error) {
    process.stderr.write(`breakwater: the source could not be bundled (${error.message}); the gateway starts more slowly\n`);
    return join(root, 'src', 'cli', 'main.ts');
  }
}

function run(node, args) {
  const { status, error } = spawnSync(node, args, { cwd: root, env: childEnv(), stdio: ['ignore', 2, 2], timeout: timeoutMs });
  if (status !== 0) throw error ?? new Error(`exit ${status}`);
}

function removeOldBundles() {
  const folders = readdirSync(dist).filter((name) => name.startsWith('start-'));
  const byUse = folders.map((name) => join(dist, name)).toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const folder of byUse.slice(bundlesMax)) rmSync(folder, { recursive: true, force: true });
}

/** Hash of the inputs of a build: the files of a folder, the versions of packages, and the scripts that build. */
function hashOf(folder) {
  const hash = createHash('sha256');
  const files = [folder, join(root, 'scripts')].flatMap((path) =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name)),
  );
  for (const path of [...files.toSorted(), join(root, 'package-lock.json')]) {
    hash.update(path.slice(root.length)).update(readFileSync(path));
  }
  return hash.digest('hex');
}
