// Builds the dashboard of a checkout if it is missing or older than its source. A failed build is reported and not fatal.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, root } from './setup.mjs';

const source = join(root, 'dashboard');
const page = join(root, 'dist', 'dashboard', 'index.html');
const cache = join(root, 'node_modules', '.cache');
const stampFile = join(cache, 'dashboard-stamp');
/** The build takes a second or two; an overloaded machine starts without the page. */
const timeoutMs = 60_000;

export function buildDashboardOnce(node) {
  try {
    const stamp = stampOf();
    if (existsSync(page) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
    const { status, error } = spawnSync(node, ['scripts/build-dashboard.mjs'], {
      cwd: root,
      env: childEnv(),
      stdio: ['ignore', 2, 2],
      timeout: timeoutMs,
    });
    if (status !== 0) throw error ?? new Error(`exit ${status}`);
    mkdirSync(cache, { recursive: true });
    writeFileSync(stampFile, stamp);
  } catch (error) {
    process.stderr.write(`breakwater: the dashboard could not be built (${error.message}); the gateway runs without it\n`);
  }
}

/** Hash of the page's inputs: its source, and the versions of bundled packages. */
function stampOf() {
  const hash = createHash('sha256');
  const files = readdirSync(source, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of [...files.map(({ parentPath, name }) => join(parentPath, name)).toSorted(), join(root, 'package-lock.json')]) {
    hash.update(path.slice(root.length)).update(readFileSync(path));
  }
  return hash.digest('hex');
}
