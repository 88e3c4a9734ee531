import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
// As deep as the published one, which reads files of the package.
const folder = join(root, 'dist', `bundle-test-${process.pid}`);
after(() => rmSync(folder, { recursive: true, force: true }));

describe('the bundle', () => {
  execFileSync(process.execPath, [join(root, 'scripts/bundle.mjs'), folder]);

  test('runs the command', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(execFileSync(process.execPath, [join(folder, 'main.js'), '--version'], { encoding: 'utf8' }).trim(), version);
  });

  test('exports what the source exports', async () => {
    for (const [bundled, source] of [
      ['index.js', 'src/index.ts'],
      ['testing.js', 'src/testing/index.ts'],
    ] as const) {
      const names = async (file: string): Promise<string[]> =>
        Object.keys((await import(pathToFileURL(file).href)) as Record<string, unknown>).toSorted();
      assert.deepEqual(await names(join(folder, bundled)), await names(join(root, source)));
    }
  });

  test('contains every thread that the source starts', () => {
    const started = globSync('src/**/*.ts', { cwd: root })
      .filter((path) => !path.endsWith('.test.ts'))
      .flatMap((path) =>
        [...readFileSync(join(root, path), 'utf8').matchAll(/new URL\(`\.\/([\w-]+)\$\{extname/g)].map(([, name]) => name!),
      );
    assert.ok(started.length >= 4);
    for (const name of started) assert.ok(existsSync(join(folder, `${name}.js`)), name);
  });

  test('is ASCII, because V8 keeps other sources in two bytes per character', () => {
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.js')))
      assert.match(readFileSync(join(folder, name), 'utf8'), /^[\n\t\x20-\x7e]*$/, basename(name));
  });

  test('escaped text has the same value', async () => {
    const { createBreakwater } = (await import(pathToFileURL(join(folder, 'index.js')).href)) as {
      createBreakwater: (config: unknown) => unknown;
    };
    await assert.rejects(async () => createBreakwater({ clients: [{ name: 'a' }] }), /sha256:…/);
  });
});
