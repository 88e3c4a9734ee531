// Bundles the published code from src into a folder: few files start in half the time that nine hundred need, and take less memory.
// Packages in node_modules stay apart.
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './setup.mjs';

const [outDir] = process.argv.slice(2);
if (outDir === undefined) throw new Error('usage: node scripts/bundle.mjs FOLDER');

// The folder is two levels below the root of the package, as the modules that read its files are in src.
const bundle = await rolldown({
  cwd: root,
  input: { main: 'src/cli/main.ts', index: 'src/index.ts', testing: 'src/testing/index.ts', ...workers() },
  platform: 'node',
  external: (id) => !/^[./]/.test(id) && !id.startsWith(root),
});
const { output } = await bundle.generate({ format: 'esm', entryFileNames: '[name].js', comments: false });
// An interrupted build leaves no folder that looks complete.
const unfinished = `${outDir}.${process.pid}`;
mkdirSync(unfinished, { recursive: true });
for (const { fileName, code } of output) writeFileSync(join(unfinished, fileName), escaped(code));
rmSync(outDir, { recursive: true, force: true });
renameSync(unfinished, outDir);

/** Modules that run in threads; each starts by the name of its file, next to the module that starts it. */
function workers() {
  const files = readdirSync(join(root, 'src'), { recursive: true }).filter((path) => /(?:^|[\\/-])worker\.ts$/.test(path));
  return Object.fromEntries(files.map((path) => [basename(path, '.ts'), join(root, 'src', path)]));
}

/** V8 keeps a source with one character beyond latin1 in two bytes per character. */
function escaped(code) {
  return code.replace(/[^\n\x20-\x7e]/g, (char) => (char === '\t' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`));
}
