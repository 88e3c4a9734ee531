// Bundles the published code from src into a folder: few files start in half the time that nine hundred need, and take less memory.
// The packages that every start needs are included, with their licences; all others stay in node_modules.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './setup.mjs';

const included = ['commander', 'yaml', 'zod'];

const [outDir] = process.argv.slice(2);
if (outDir === undefined) throw new Error('usage: node scripts/bundle.mjs FOLDER');

// The folder is two levels below the root of the package, as the modules that read its files are in src.
const bundle = await rolldown({
  cwd: root,
  input: { main: 'src/cli/main.ts', index: 'src/index.ts', testing: 'src/testing/index.ts', ...workers() },
  platform: 'node',
  external: (id) => !/^[./]/.test(id) && !isAbsolute(id) && !included.some((name) => id === name || id.startsWith(`${name}/`)),
});
const { output } = await bundle.generate({ format: 'esm', entryFileNames: '[name].js', comments: false });
// An interrupted build leaves no folder that looks complete. If two run at once, the first one's folder is kept: it may be in use.
const unfinished = `${outDir}.${process.pid}`;
mkdirSync(unfinished, { recursive: true });
for (const { fileName, code } of output) writeFileSync(join(unfinished, fileName), escaped(code));
writeFileSync(join(unfinished, 'LICENSES.txt'), included.map(licence).join('\n'));
try {
  renameSync(unfinished, outDir);
} catch (error) {
  rmSync(unfinished, { recursive: true, force: true });
  if (!existsSync(join(outDir, 'main.js'))) throw error;
}

/** Modules that run in threads; each starts by the name of its file, next to the module that starts it. */
function workers() {
  const files = readdirSync(join(root, 'src'), { recursive: true }).filter((path) => /(?:^|[\\/-])worker\.ts$/.test(path));
  return Object.fromEntries(files.map((path) => [basename(path, '.ts'), join(root, 'src', path)]));
}

function licence(name) {
  const folder = join(root, 'node_modules', name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name}\n\n${readFileSync(join(folder, file), 'utf8')}`;
}

/** V8 keeps a source with one character beyond latin1 in two bytes per character. */
function escaped(code) {
  return code.replace(/[^\n\x20-\x7e]/g, (char) => (char === '\t' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`));
}
