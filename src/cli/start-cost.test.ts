import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('a start loads neither node:http nor a fetch, which take 18 MB', () => {
  const script = `await import(${JSON.stringify(new URL('serve.ts', import.meta.url).href)});
    process.stdout.write(process.moduleLoadList.filter((name) => /NativeModule (http|internal\\/deps\\/undici\\/undici)$/.test(name)).join());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  assert.deepEqual([stdout, stderr], ['', '']);
});

test("the command loads Node's modules from their compiled code, which V8 rejects under changed flags", () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const env = { ...process.env, NODE_DEBUG_NATIVE: 'CODE_CACHE', NODE_DISABLE_COMPILE_CACHE: '1', NODE_OPTIONS: '' };
  const { status, stderr } = spawnSync(process.execPath, [main, '--version'], { encoding: 'utf8', env });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Code cache of \S+ \(\w+\) is accepted/);
  assert.doesNotMatch(stderr, /Code cache of .* is rejected/);
});
