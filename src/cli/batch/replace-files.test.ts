import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { replaceFiles } from './replace-files.ts';
import { Stop } from './stop.ts';

/** No process has such an id. */
const GONE = 2 ** 31 - 1;

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-replace-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function* content(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

test('results that are not current any more once they are complete replace nothing', async (t) => {
  const folder = await folderOf(t);
  const [path, other] = [join(folder, 'r.jsonl'), join(folder, 'e.jsonl')];
  for (const one of [path, other]) await writeFile(one, 'later');
  const files = [
    { path, content: () => content('new') },
    { path: other, content: null },
  ];
  const isCurrent = async (): Promise<boolean> => {
    assert.equal((await readdir(folder)).length, 3, 'the new file is complete');
    return false;
  };
  assert.equal(await replaceFiles(files, { stop: new Stop(), isCurrent }), null);
  assert.deepEqual([(await readdir(folder)).toSorted(), await readFile(path, 'utf8')], [['e.jsonl', 'r.jsonl'], 'later']);
  assert.deepEqual(await replaceFiles(files, { stop: new Stop(), isCurrent: async () => true }), [path]);
  assert.deepEqual([await readdir(folder), await readFile(path, 'utf8')], [['r.jsonl'], 'new']);
});

test('a second Ctrl-C leaves no unfinished file', async (t) => {
  const folder = await folderOf(t);
  const stop = new Stop();
  const isCurrent = async (): Promise<boolean> => {
    assert.equal((await readdir(folder)).length, 1);
    stop.clean();
    assert.deepEqual(await readdir(folder), []);
    return false;
  };
  await replaceFiles([{ path: join(folder, 'r.jsonl'), content: () => content('new') }], { stop, isCurrent });
  assert.equal(stop.temporary.size, 0);
});

test('unfinished files of processes that were killed are deleted; those of running ones, and other files, are not', async (t) => {
  const folder = await folderOf(t);
  const kept = [`r.jsonl.${process.ppid}.part`, 'r.jsonl.part', `x.jsonl.${GONE}.part`, `r.jsonl.${GONE}.part.txt`];
  for (const name of [...kept, `r.jsonl.${GONE}.part`]) {
    await writeFile(join(folder, name), 'old');
    await utimes(join(folder, name), 1_000, 1_000);
  }
  // Another container may be writing it.
  await writeFile(join(folder, `r.jsonl.${GONE - 1}.part`), 'recent');
  await replaceFiles([{ path: join(folder, 'r.jsonl'), content: () => content('new') }], { stop: new Stop(), isCurrent: async () => true });
  assert.deepEqual((await readdir(folder)).toSorted(), [...kept, 'r.jsonl', `r.jsonl.${GONE - 1}.part`].toSorted());
});
