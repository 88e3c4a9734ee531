// Builds the package into a temporary folder and checks it from a user's perspective: the manifest matches the files (publint), its types
// resolve (arethetypeswrong), every export can be imported, the command runs, links in the docs lead to files of the package, and no
// comment refers to documents outside it.
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './setup.mjs';
import { runNode, stagePackage } from './stage-package.mjs';

/** Maximum compressed size of the dashboard. */
const pageBytesMax = 80_000;
/** Maximum size of the tarball. */
const tarballBytesMax = 4_000_000;

const folder = mkdtempSync(join(tmpdir(), 'breakwater-package-'));
const staged = join(folder, 'package');
try {
  mkdirSync(staged);
  stagePackage(staged);
  checkPage();
  checkComments();
  checkLinks();
  await checkTypes();
  symlinkSync(join(root, 'node_modules'), join(staged, 'node_modules'), 'junction');
  lint();
  importEveryExport();
  runCommand();
} catch (error) {
  process.stderr.write(`${error.stdout ?? ''}${error.stderr ?? ''}${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Checks that the page contains only the dashboard's files, no sources, within the size limit. */
function checkPage() {
  const files = readdirSync(join(staged, 'dist', 'dashboard'));
  const foreign = files.filter((name) => !/\.(?:html|js|css|svg)$/.test(name));
  if (foreign.length > 0 || !files.includes('index.html')) throw new Error(`the dashboard consists of ${files.join(', ')}`);
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(staged, 'dist', 'dashboard', name))).length, 0);
  if (bytes > pageBytesMax) throw new Error(`the dashboard takes ${bytes} bytes compressed; the limit is ${pageBytesMax}`);
}

/** Comments are hover texts of the types: they refer to nothing that a user of the package does not have. */
function checkComments() {
  const foreign = /\bdesign(?:\.md| section)? ?\d+(?:\.\d+)*\b|\bdesign\.md\b|\bwire-facts\b|\bissues? #?\d+\b/;
  const found = filesOf(join(staged, 'dist'), /\.(?:js|d\.ts)$/).flatMap((file) => {
    const line = readFileSync(file, 'utf8')
      .split('\n')
      .find((text) => foreign.test(text));
    return line === undefined ? [] : [`${file.slice(staged.length + 1)}: ${line.trim()}`];
  });
  if (found.length > 0) throw new Error(`comments that refer to documents outside the package:\n  ${found.join('\n  ')}`);
}

/** Relative links of the Markdown files lead to files of the package. */
function checkLinks() {
  const broken = filesOf(staged, /\.md$/).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)]
      .map(([, link]) => link)
      .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(dirname(file), link)))
      .map((link) => `${file.slice(staged.length + 1)}: ${link}`),
  );
  if (broken.length > 0) throw new Error(`links that lead nowhere in the package:\n  ${broken.join('\n  ')}`);
}

/** The package is ES modules only, so resolution from CommonJS and that of Node.js 10 are not checked. */
async function checkTypes() {
  const [packed] = JSON.parse(npm('pack', '--ignore-scripts', '--json', '--pack-destination', folder));
  if (packed.size > tarballBytesMax) throw new Error(`the tarball takes ${packed.size} bytes; the limit is ${tarballBytesMax}`);
  const { problems = [] } = await checkPackage(createPackageFromTarballData(readFileSync(join(folder, packed.filename))));
  const relevant = problems.filter(({ resolutionKind }) => resolutionKind !== 'node10' && resolutionKind !== 'node16-cjs');
  if (relevant.length > 0) throw new Error(`arethetypeswrong: ${JSON.stringify(relevant, null, 2)}`);
}

function lint() {
  runNode(staged, join(root, 'node_modules/publint/src/cli.js'), 'run', '--strict', '--pack', 'false');
}

function importEveryExport() {
  for (const entry of Object.values(manifest().exports)) {
    runNode(staged, '--input-type=module', '--eval', `await import(${JSON.stringify(entry.default)})`);
  }
}

function runCommand() {
  for (const file of Object.values(manifest().bin)) {
    const path = join(staged, file);
    if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node\n')) throw new Error(`${file} has no node shebang`);
    if (!runNode(staged, file, '--help').includes('breakwater')) throw new Error(`${file} --help prints no usage`);
  }
}

function filesOf(path, pattern) {
  return readdirSync(path, { recursive: true })
    .filter((name) => pattern.test(name))
    .map((name) => join(path, name));
}

function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
}

function npm(...args) {
  return execFileSync('npm', args, { cwd: staged, encoding: 'utf8', timeout: 60_000, shell: process.platform === 'win32' });
}
