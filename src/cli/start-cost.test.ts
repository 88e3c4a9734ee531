import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

test('a start loads neither node:http nor a fetch, which take 18 MB', () => {
  const script = `await import(${JSON.stringify(new URL('serve.ts', import.meta.url).href)});
    process.stdout.write(process.moduleLoadList.filter((name) => /NativeModule (http|internal\\/deps\\/undici\\/undici)$/.test(name)).join());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  assert.deepEqual([stdout, stderr], ['', '']);
});
