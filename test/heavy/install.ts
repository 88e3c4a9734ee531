/** Brings the packages of this folder, once: they are too heavy for everybody who only wants to start the gateway. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import { hash } from 'node:crypto';

/** Where the packages lie: the folder from which a config looks for them. */
export const heavyFolder = import.meta.dirname;

/** Why they could not be had a short while ago: the next file does not try again. */
const FAULT_LASTS_MS = 10 * 60_000;
/** A registry that does not answer is none, in ms. */
const INSTALL_MAX_MS = 120_000;
/** Nobody installs for longer: whoever made the lock is gone, in ms. */
const LOCK_STALE_MS = 200_000;
const LOOK_MS = 200;

/** The packages that the package.json and the lock file of one folder name. */
export class HeavyPackages {
  readonly #folder: string;
  readonly #what: string;
  readonly #stampFile: string;
  readonly #faultFile: string;
  readonly #lockFolder: string;
  #installing: Promise<string | null> | null = null;

  /** `what`: how large they are, for whoever waits. */
  constructor(folder: string, what: string) {
    this.#folder = folder;
    this.#what = what;
    this.#stampFile = join(folder, 'node_modules', '.breakwater-stamp');
    this.#faultFile = join(folder, 'node_modules.fault');
    this.#lockFolder = join(folder, 'node_modules.installing');
  }

  /** Installs them; false: they can't be had here, and the test was skipped with the reason. */
  async install(t: TestContext): Promise<boolean> {
    const fault = await (this.#installing ??= this.#install());
    if (fault === null) return true;
    t.skip(`${this.#what} can not be installed (npm install in ${relative(process.cwd(), this.#folder)}): ${fault}`);
    return false;
  }

  get isInstalled(): boolean {
    return existsSync(this.#stampFile) && readFileSync(this.#stampFile, 'utf8') === this.#stamp();
  }

  #stamp(): string {
    return hash('sha256', readFileSync(join(this.#folder, 'package-lock.json'))) + process.platform + process.arch;
  }

  async #install(): Promise<string | null> {
    while (!this.isInstalled) {
      const found = statSync(this.#faultFile, { throwIfNoEntry: false });
      if (found !== undefined && Date.now() - found.mtimeMs < FAULT_LASTS_MS) return readFileSync(this.#faultFile, 'utf8');
      if (!this.#tryLock()) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        continue;
      }
      try {
        if (this.isInstalled) return null;
        process.stderr.write(`installing ${this.#what}, once…\n`);
        const fault = await runNpm(this.#folder);
        if (fault !== null) {
          writeFileSync(this.#faultFile, fault);
          return fault;
        }
        writeFileSync(this.#stampFile, this.#stamp());
      } finally {
        rmSync(this.#lockFolder, { recursive: true, force: true });
      }
    }
    return null;
  }

  /** Two test files may want it at once. */
  #tryLock(): boolean {
    try {
      mkdirSync(this.#lockFolder);
      return true;
    } catch {
      const lock = statSync(this.#lockFolder, { throwIfNoEntry: false });
      if (lock !== undefined && Date.now() - lock.mtimeMs > LOCK_STALE_MS) rmSync(this.#lockFolder, { recursive: true, force: true });
      return false;
    }
  }
}

const engines = new HeavyPackages(heavyFolder, 'the packages of local engines (some 450 MB)');

/** False: the packages of local engines can't be had here, and the test was skipped with the reason. */
export const isInstalled = (t: TestContext): Promise<boolean> => engines.install(t);

/** Their install scripts would download from elsewhere; what we need of them is in the packages. */
function runNpm(cwd: string): Promise<string | null> {
  const args = 'install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error --include=optional --fetch-retries=0'.split(' ');
  return new Promise((resolve) => {
    const npm = spawn('npm', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], shell: process.platform === 'win32' });
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
