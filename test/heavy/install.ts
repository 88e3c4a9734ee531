/** Brings the packages of this folder, once: they are too heavy for everybody who only wants to start the gateway. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { hash } from 'node:crypto';

/** Where the packages lie: the folder from which a config looks for them. */
export const heavyFolder = import.meta.dirname;

const stampFile = join(heavyFolder, 'node_modules', '.breakwater-stamp');
/** Why they could not be had a short while ago: the next file does not try again. */
const faultFile = join(heavyFolder, 'node_modules.fault');
const FAULT_LASTS_MS = 10 * 60_000;
const lockFolder = join(heavyFolder, 'node_modules.installing');
/** A registry that does not answer is none, in ms. */
const INSTALL_MAX_MS = 120_000;
/** Nobody installs for longer: whoever made the lock is gone, in ms. */
const LOCK_STALE_MS = 200_000;
const LOOK_MS = 200;

let installing: Promise<string | null> | null = null;

/** False: they can't be had here, and the test was skipped with the reason. */
export async function isInstalled(t: TestContext): Promise<boolean> {
  const fault = await (installing ??= install());
  if (fault === null) return true;
  t.skip(`the packages of test/heavy can not be installed (npm install in test/heavy): ${fault}`);
  return false;
}

async function install(): Promise<string | null> {
  const stamp = hash('sha256', readFileSync(join(heavyFolder, 'package-lock.json'))) + process.platform + process.arch;
  const isDone = () => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  while (!isDone()) {
    const found = statSync(faultFile, { throwIfNoEntry: false });
    if (found !== undefined && Date.now() - found.mtimeMs < FAULT_LASTS_MS) return readFileSync(faultFile, 'utf8');
    if (!tryLock()) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      continue;
    }
    try {
      if (isDone()) return null;
      process.stderr.write('test/heavy: installing the packages of local engines (once; some 450 MB)…\n');
      const fault = await runNpm();
      if (fault !== null) {
        writeFileSync(faultFile, fault);
        return fault;
      }
      writeFileSync(stampFile, stamp);
    } finally {
      rmSync(lockFolder, { recursive: true, force: true });
    }
  }
  return null;
}

/** Two test files may want it at once. */
function tryLock(): boolean {
  try {
    mkdirSync(lockFolder);
    return true;
  } catch {
    const lock = statSync(lockFolder, { throwIfNoEntry: false });
    if (lock !== undefined && Date.now() - lock.mtimeMs > LOCK_STALE_MS) rmSync(lockFolder, { recursive: true, force: true });
    return false;
  }
}

/** Their install scripts would download from elsewhere; what we need of them is in the packages. */
function runNpm(): Promise<string | null> {
  const args = 'install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error --include=optional --fetch-retries=0'.split(' ');
  return new Promise((resolve) => {
    const npm = spawn('npm', args, { cwd: heavyFolder, stdio: ['ignore', 'ignore', 'pipe'], shell: process.platform === 'win32' });
    let said = '';
    npm.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const timer = setTimeout(() => npm.kill(), INSTALL_MAX_MS);
    npm.on('error', (error) => resolve(error.message));
    npm.on('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0 ? null : (said.trim().split('\n')[0] ?? '') || `npm ended with ${code ?? 'a signal'}`);
    });
  });
}
