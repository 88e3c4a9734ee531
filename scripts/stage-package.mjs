// Builds the package into a folder, with the files that npm would publish.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './setup.mjs';

/** Runs Node in a folder and returns its stdout. */
export function runNode(cwd, ...args) {
  return execFileSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 120_000 });
}

/** Copies what `files` of package.json names, and builds the rest. The folder can be packed with `npm pack --ignore-scripts`. */
export function stagePackage(folder) {
  runNode(root, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'));
  runNode(root, 'scripts/bundle.mjs', join(folder, 'dist', 'bundle'));
  runNode(root, 'scripts/build-dashboard.mjs', join(folder, 'dist', 'dashboard'));
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['package.json', ...files]) {
    if (name === 'dist' || name.startsWith('!') || !existsSync(join(root, name))) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
}
