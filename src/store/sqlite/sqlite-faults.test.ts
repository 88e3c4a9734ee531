import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { createManualClock, type ManualClock } from '../../testing/manual-clock.ts';
import type { Store } from '../store.ts';
import type { StoreFault } from '../store-fault.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { tempFile } from './temp-file.test-suite.ts';

interface Scene {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly warnings: string[];
}

const crashingWorkerUrl = new URL('./crashing-worker.test-suite.ts', import.meta.url);

async function open(t: TestContext, path: string, workerUrl?: URL): Promise<Scene> {
  const clock = createManualClock({ epochMs: 1_000_000 });
  const warnings: string[] = [];
  const store = await openSqliteStore(path, {
    clock,
    onWarning: (message) => warnings.push(message),
    ...(workerUrl && { workerUrl }),
  });
  t.after(() => store.close());
  return { clock, store, warnings };
}

function faultOf(store: Store): StoreFault | 'ok' {
  return store.health.state === 'ok' ? 'ok' : store.health.fault;
}

/** The next change of the store's health; `clock` is advanced so that the store retries. */
async function nextHealth({ store, clock }: Scene, advanceMs = 0): Promise<StoreFault | 'ok'> {
  const changed = new Promise<void>((resolve) => {
    const stop = store.onHealthChange(() => {
      stop();
      resolve();
    });
  });
  clock.advance(advanceMs);
  await changed;
  return faultOf(store);
}

/** The store could not open its file: it warns once, continues in memory, and after `cure` recovers and saves. */
async function assertGoesOnInMemory(scene: Scene, fault: StoreFault): Promise<void> {
  const { store, warnings } = scene;
  assert.equal(faultOf(store), fault);
  store.put('breaker', 'a', { state: 'open' });
  store.put('usage', 'a', { calls: 1 });
  assert.deepEqual(await store.get('breaker', 'a'), { state: 'open' });
  assert.deepEqual(await store.get('usage', 'a'), { calls: 1 });
  assert.equal(await store.flush(), false);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', new RegExp(`degraded \\(${fault}\\)`));
}

async function assertHeals(scene: Scene): Promise<void> {
  assert.equal(await nextHealth(scene, 250), 'ok');
  assert.equal(await scene.store.flush(), true);
  assert.deepEqual(await scene.store.get('breaker', 'a'), { state: 'open' });
  assert.deepEqual(await scene.store.get('usage', 'a'), { calls: 1 });
  assert.equal(scene.warnings.length, 1);
}

test('state survives closing and opening again', async (t) => {
  const path = tempFile(t);
  const first = await open(t, path);
  first.store.put('breaker', 'a', { state: 'open' });
  first.store.put('cooldown', 'short', 1, { expiresAtMs: 1_000_010 });
  first.store.put('cooldown', 'long', 1, { expiresAtMs: 2_000_000 });
  await first.store.close();
  const second = await open(t, path);
  second.clock.advance(10);
  assert.deepEqual(await second.store.get('breaker', 'a'), { state: 'open' });
  assert.deepEqual([...(await second.store.getAll('cooldown')).keys()], ['long']);
});

test('a killed process loses nothing that was flushed', async (t) => {
  const path = tempFile(t);
  const { store } = await open(t, path);
  store.put('breaker', 'a', 1);
  assert.equal(await store.flush(), true);
  // Another connection sees what is in the log on disk, as after a crash.
  const witness = new DatabaseSync(path, { readOnly: true });
  assert.equal(witness.prepare('SELECT value FROM entries WHERE key = ?').get('a')?.['value'], '1');
  witness.close();
});

test('two stores on one file see the writes of each other', async (t) => {
  const path = tempFile(t);
  const [one, two] = await Promise.all([open(t, path), open(t, path)]);
  for (let round = 0; round < 20; round++) {
    one.store.put('usage', 'one', { round });
    two.store.put('usage', 'two', { round });
    assert.deepEqual(await Promise.all([one.store.flush(), two.store.flush()]), [true, true]);
    assert.deepEqual(await one.store.get('usage', 'two'), { round });
    assert.deepEqual(await two.store.get('usage', 'one'), { round });
  }
});

test('the file is readable by its owner only', { skip: process.platform === 'win32' }, async (t) => {
  const path = tempFile(t);
  await open(t, path);
  assert.equal(statSync(path).mode & 0o077, 0);
});

test('expired rows are deleted from the file in time', async (t) => {
  const path = tempFile(t);
  const { store, clock } = await open(t, path);
  store.put('cooldown', 'a', 1, { expiresAtMs: 1_000_010 });
  await store.flush();
  clock.advance(60_000);
  store.put('bucket', 'b', 1);
  await store.flush();
  const witness = new DatabaseSync(path, { readOnly: true });
  assert.deepEqual(
    witness
      .prepare('SELECT key FROM entries')
      .all()
      .map((row) => row['key']),
    ['b'],
  );
  witness.close();
});

test('a missing folder: degraded until it exists', async (t) => {
  const folder = join(dirname(tempFile(t)), 'later');
  const scene = await open(t, join(folder, 'state.db'));
  await assertGoesOnInMemory(scene, 'unavailable');
  mkdirSync(folder);
  await assertHeals(scene);
});

test('a corrupt file: degraded and unchanged; once it is moved away, a new one is created', async (t) => {
  const path = tempFile(t);
  const junk = 'this is no database. '.repeat(500);
  writeFileSync(path, junk);
  const scene = await open(t, path);
  await assertGoesOnInMemory(scene, 'corrupt');
  assert.equal(readFileSync(path, 'utf8'), junk);
  renameSync(path, `${path}.broken`);
  await assertHeals(scene);
});

test('damaged pages: degraded, and the process continues', async (t) => {
  const path = tempFile(t);
  const first = await open(t, path);
  for (let index = 0; index < 500; index++) first.store.put('bucket', `${index}`, 'x'.repeat(200));
  await first.store.close();
  const bytes = readFileSync(path);
  bytes.fill(0xff, 4_096);
  writeFileSync(path, bytes);
  const { store, warnings } = await open(t, path);
  store.put('breaker', 'a', 1);
  await store.flush();
  assert.equal((await store.getAll('bucket')).size, 0);
  assert.equal(faultOf(store), 'corrupt');
  assert.equal(await store.get('breaker', 'a'), 1);
  assert.equal(warnings.length, 1);
});

test('a read-only file: degraded', async (t) => {
  const path = tempFile(t);
  const first = await open(t, path);
  first.store.put('breaker', 'b', 1);
  await first.store.close();
  await assertGoesOnInMemory(await open(t, `${pathToFileURL(path).href}?mode=ro`), 'read_only');
});

test('a folder in place of the file: degraded until it is removed', async (t) => {
  const path = tempFile(t);
  mkdirSync(path);
  const scene = await open(t, path);
  await assertGoesOnInMemory(scene, 'unavailable');
  rmSync(path, { recursive: true });
  await assertHeals(scene);
});

test("another program's database is not changed", async (t) => {
  const path = tempFile(t);
  const other = new DatabaseSync(path);
  other.exec('CREATE TABLE customers (name TEXT)');
  other.close();
  const before = readFileSync(path);
  await assertGoesOnInMemory(await open(t, path), 'foreign');
  assert.deepEqual(readFileSync(path), before);
});

test('a file of a newer version is not changed', async (t) => {
  const path = tempFile(t);
  await (await open(t, path)).store.close();
  const newer = new DatabaseSync(path);
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  const before = readFileSync(path);
  const scene = await open(t, path);
  await assertGoesOnInMemory(scene, 'newer_version');
  assert.match(scene.warnings[0] ?? '', /version 99/);
  assert.deepEqual(readFileSync(path), before);
});

test('a file locked by another connection: degraded until it is unlocked', async (t) => {
  const path = tempFile(t);
  const scene = await open(t, path);
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  scene.store.put('breaker', 'a', { state: 'open' });
  scene.store.put('usage', 'a', { calls: 1 });
  assert.equal(await scene.store.flush(), false);
  await assertGoesOnMemoryWhile(scene);
  other.exec('COMMIT');
  other.close();
  await assertHeals(scene);
});

async function assertGoesOnMemoryWhile({ store, warnings }: Scene): Promise<void> {
  assert.equal(faultOf(store), 'locked');
  assert.deepEqual(await store.get('usage', 'a'), { calls: 1 });
  assert.equal(warnings.length, 1);
}

for (const [order, moment] of [
  ['crash before', 'before it commits'],
  ['throw before', 'by an error before it commits'],
  ['crash after', 'between the commit and its reply'],
] as const) {
  test(`a worker that dies ${moment}: degraded, then recovered, and the last write of each key is saved`, async (t) => {
    const path = tempFile(t);
    const scene = await open(t, path, crashingWorkerUrl);
    assert.equal(faultOf(scene.store), 'ok');
    scene.store.put('usage', 'a', { calls: 1 });
    scene.store.put('test', 'order', order);
    assert.equal(await scene.store.flush(), false);
    assert.equal(faultOf(scene.store), 'crashed');
    scene.store.put('usage', 'a', { calls: 2 });
    assert.deepEqual(await scene.store.get('usage', 'a'), { calls: 2 });
    assert.equal(scene.warnings.length, 1);

    assert.equal(await nextHealth(scene, 250), 'ok');
    assert.equal(await scene.store.flush(), true);
    assert.deepEqual(await scene.store.get('usage', 'a'), { calls: 2 });
    await scene.store.close();
    const { store } = await open(t, path);
    assert.deepEqual(await store.get('usage', 'a'), { calls: 2 });
  });
}

for (const [what, change] of [
  ['deleted', (path: string) => rmSync(path)],
  ['replaced', (path: string) => (writeFileSync(`${path}.new`, ''), renameSync(`${path}.new`, path))],
  ['overwritten', (path: string) => writeFileSync(path, 'not a database, and longer than a header')],
] as const) {
  test(`a file that is ${what} while the store is in use is detected without a write and reported`, async (t) => {
    const path = tempFile(t);
    const scene = await open(t, path);
    scene.store.put('breaker', 'a', { state: 'open' });
    assert.equal(await scene.store.flush(), true);
    change(path);
    const changed = nextHealth(scene, 5_000);
    scene.store.check?.();
    assert.equal(await changed, 'replaced');
    assert.match(scene.warnings.join(), new RegExp(`degraded \\(replaced\\): its file was .*`));
  });
}

test('a deleted file is created again, and later writes are saved there', async (t) => {
  const path = tempFile(t);
  const scene = await open(t, path);
  scene.store.put('breaker', 'a', { state: 'open' });
  assert.equal(await scene.store.flush(), true);
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  scene.store.put('breaker', 'b', { state: 'open' });
  assert.equal(await scene.store.flush(), false);
  assert.equal(await nextHealth(scene, 250), 'ok');
  assert.equal(await scene.store.flush(), true);
  await scene.store.close();
  const { store } = await open(t, path);
  assert.deepEqual(await store.get('breaker', 'b'), { state: 'open' });
});

test('a path that is a pipe is rejected without blocking', async (t) => {
  const path = tempFile(t);
  execFileSync('mkfifo', [path]);
  const scene = await open(t, path);
  assert.equal(faultOf(scene.store), 'unavailable');
  await scene.store.close();
});

/** Waits until the worker has read its instruction and hangs. */
async function untilObeyed(path: string): Promise<void> {
  const folder = watch(dirname(path));
  while (!existsSync(`${path}.obeyed`)) await once(folder, 'change');
  folder.close();
}

test('a hung worker is abandoned at its timeout, and its successor saves the state', async (t) => {
  const path = tempFile(t);
  const scene = await open(t, path, crashingWorkerUrl);
  assert.equal(faultOf(scene.store), 'ok');
  scene.store.put('test', 'order', 'hang before');
  const flushing = scene.store.flush();
  await untilObeyed(path);
  scene.clock.advance(5_000);
  assert.equal(await flushing, false);
  assert.equal(await nextHealth(scene, 5_000), 'timeout');
  assert.equal(scene.warnings.length, 1);
  assert.equal(await nextHealth(scene, 250), 'ok');
  assert.equal(await scene.store.get('test', 'order'), 'hang before');
});

test('closing completes even if the worker hangs', async (t) => {
  const path = tempFile(t);
  const scene = await open(t, path, crashingWorkerUrl);
  scene.store.put('test', 'order', 'hang before');
  scene.clock.advance(25);
  await untilObeyed(path);
  let isClosed = false;
  const closing = scene.store.close().then(() => (isClosed = true));
  for (let step = 0; step < 20 && !isClosed; step++) await scene.clock.advanceAsync(1_000);
  await closing;
  assert.match(scene.warnings.at(-1) ?? '', /closed before all state was saved/);
});
