// Builds the package into a temporary folder and checks it from a user's perspective: the manifest matches the files
// (publint), every export can be imported, and the command runs.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './setup.mjs';

/** Maximum compressed size of the dashboard. */
const pageBytesMax = 80_000;

const folder = mkdtempSync(join(tmpdir(), 'breakwater-package-'));
try {
  build();
  checkPage();
  lint();
  importEveryExport();
  runCommand();
} catch (error) {
  process.stderr.write(`${error.stdout ?? ''}${error.stderr ?? ''}${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function build() {
  run(root, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'));
  run(root, 'scripts/build-dashboard.mjs', join(folder, 'dist', 'dashboard'));
  for (const name of ['package.json', ...manifest().files]) {
    if (name !== 'dist' && existsSync(join(root, name))) cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
}

/** Checks that the page contains only the dashboard's files, no sources, within the size limit. */
function checkPage() {
  const files = readdirSync(join(folder, 'dist', 'dashboard'));
  const foreign = files.filter((name) => !/\.(?:html|js|css|svg)$/.test(name));
  if (foreign.length > 0 || !files.includes('index.html')) throw new Error(`the dashboard consists of ${files.join(', ')}`);
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, 'dist', 'dashboard', name))).length, 0);
  if (bytes > pageBytesMax) throw new Error(`the dashboard takes ${bytes} bytes compressed; the limit is ${pageBytesMax}`);
}

function lint() {
  run(folder, join(root, 'node_modules/publint/src/cli.js'), 'run', '--strict', '--pack', 'false');
}

function importEveryExport() {
  for (const entry of Object.values(manifest().exports)) {
    run(folder, '--input-type=module', '--eval', `await import(${JSON.stringify(entry.default)})`);
  }
}

function runCommand() {
  for (const file of Object.values(manifest().bin)) {
    const path = join(folder, file);
    if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node\n')) throw new Error(`${file} has no node shebang`);
    if (!run(folder, file, '--help').includes('breakwater')) throw new Error(`${file} --help prints no usage`);
  }
}

function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
}

function run(cwd, ...args) {
  return execFileSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 });
}
