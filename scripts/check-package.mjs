// Builds what would be published into a folder of its own, and looks at it as a user of the package would: the
// package's manifest fits its files (publint), every export can be imported, and the command runs.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './setup.mjs';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-package-'));
try {
  build();
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
  for (const name of ['package.json', ...manifest().files]) {
    if (name !== 'dist' && existsSync(join(root, name))) cpSync(join(root, name), join(folder, name));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
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
    if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node\n')) throw new Error(`${file} has no shebang for node`);
    if (!run(folder, file, '--help').includes('breakwater')) throw new Error(`${file} --help does not explain itself`);
  }
}

function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
}

function run(cwd, ...args) {
  return execFileSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 });
}
