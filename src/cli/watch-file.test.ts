import assert from 'node:assert/strict';
import fs, { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { watchFile } from './watch-file.ts';

/** A watched file in a folder of its own; `events`: what the system reports, `changes`: the calls of `onChange`. */
function stage(
  t: TestContext,
  prepare: (folder: string) => void = (folder) => writeFileSync(join(folder, 'config.yaml'), 'one'),
  name = 'config.yaml',
) {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-watch-'));
  prepare(folder);
  const state = { events: 0, changes: 0 };
  const { watch } = fs;
  t.mock.method(fs, 'watch', ((path: string, options: object, listener: (type: string, file: string | null) => void) =>
    watch(path, options, (type, file) => {
      state.events++;
      listener(type, file);
    })) as typeof watch);
  syncBuiltinESMExports();
  const clock = createManualClock();
  const file = join(folder, name);
  const stop = watchFile(file, clock, () => state.changes++);
  t.after(() => {
    stop();
    t.mock.restoreAll();
    syncBuiltinESMExports();
    rmSync(folder, { recursive: true });
  });
  /** Waits for an event of the system, and lets the file settle. */
  const settled = async (): Promise<void> => {
    const before = state.events;
    for (const until = performance.now() + 5_000; state.events === before; await new Promise(setImmediate)) {
      assert.ok(performance.now() < until, 'no event');
    }
    clock.advance(1_000);
  };
  return { folder, file, state, clock, settled };
}

test('a file that is written, replaced, or removed and created again is reported each time', async (t) => {
  const { folder, file, state, settled } = stage(t);
  writeFileSync(file, 'two');
  await settled();
  assert.equal(state.changes, 1);
  for (let i = 2; i < 4; i++) {
    writeFileSync(join(folder, 'new'), `content ${i}`);
    renameSync(join(folder, 'new'), file);
    await settled();
    assert.equal(state.changes, i);
  }
  rmSync(file);
  await settled();
  assert.equal(state.changes, 3);
  writeFileSync(file, 'four');
  await settled();
  writeFileSync(file, 'five');
  await settled();
  assert.equal(state.changes, 5);
});

test('writes to other files of the folder cause no event', async (t) => {
  const { folder, file, state, settled } = stage(t);
  // By turns: the system reports equal events once.
  for (let i = 0; i < 500; i++) appendFileSync(join(folder, i % 2 === 0 ? 'gateway.log' : 'state.db'), `line ${i}\n`);
  writeFileSync(file, 'two');
  await settled();
  assert.equal(state.changes, 1);
  assert.ok(state.events < 10, `${state.events} events`);
});

test('several writes are reported once, 200 ms after the last one', async (t) => {
  const { file, state, clock } = stage(t);
  const write = async (text: string): Promise<void> => {
    const before = state.events;
    writeFileSync(file, text);
    while (state.events === before) await new Promise(setImmediate);
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  };
  await write('two');
  clock.advance(150);
  await write('three');
  clock.advance(150);
  assert.equal(state.changes, 0);
  clock.advance(50);
  assert.equal(state.changes, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('a mounted ConfigMap is reported when its `..data` is replaced', async (t) => {
  const version = (folder: string, n: number): void => {
    mkdirSync(join(folder, `..v${n}`));
    writeFileSync(join(folder, `..v${n}`, 'config.yaml'), `version ${n}`);
    symlinkSync(`..v${n}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  const { folder, state, settled } = stage(t, (made) => {
    version(made, 1);
    symlinkSync(join('..data', 'config.yaml'), join(made, 'config.yaml'));
  });
  for (let n = 2; n < 4; n++) {
    version(folder, n);
    rmSync(join(folder, `..v${n - 1}`), { recursive: true });
    await settled();
    assert.equal(state.changes, n - 1);
  }
});

test('a symlink to another file is reported', async (t) => {
  const { folder, file, state, settled } = stage(t, (made) => {
    for (const name of ['a', 'b']) writeFileSync(join(made, name), name);
    symlinkSync('a', join(made, 'config.yaml'));
  });
  symlinkSync('b', join(folder, 'link'));
  renameSync(join(folder, 'link'), file);
  await settled();
  assert.equal(state.changes, 1);
});

test('a symlinked folder on the way that is replaced is reported, and writes beside it cause no change', async (t) => {
  const release = (folder: string, n: number): void => {
    mkdirSync(join(folder, 'releases', String(n)), { recursive: true });
    writeFileSync(join(folder, 'releases', String(n), 'config.yaml'), `release ${n}`);
  };
  const link = (folder: string, n: number): void => symlinkSync(join('releases', String(n)), join(folder, 'current'));
  const prepare = (made: string): void => {
    for (const n of [1, 2, 3]) release(made, n);
    link(made, 1);
    symlinkSync('current/../../current', join(made, 'app'));
  };
  const { folder, file, state, settled } = stage(t, prepare, join('app', 'config.yaml'));
  symlinkSync(join('releases', '2'), join(folder, 'next'));
  renameSync(join(folder, 'next'), join(folder, 'current'));
  await settled();
  assert.equal(state.changes, 1);
  rmSync(join(folder, 'current'));
  await settled();
  link(folder, 3);
  await settled();
  assert.equal(state.changes, 2);
  writeFileSync(file, 'edited');
  await settled();
  assert.equal(state.changes, 3);
  writeFileSync(join(folder, 'releases', '1', 'config.yaml'), 'old');
  appendFileSync(join(folder, 'gateway.log'), 'line\n');
  await settled();
  assert.equal(state.changes, 3);
});

test('symlinks in a circle are no endless loop', (t) => {
  const { state } = stage(t, (made) => {
    symlinkSync('b', join(made, 'config.yaml'));
    symlinkSync('config.yaml', join(made, 'b'));
  });
  assert.equal(state.changes, 0);
});
