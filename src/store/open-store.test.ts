import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { openStore, parseStoreUrl } from './open-store.ts';
import { tempFile } from './sqlite/temp-file.test-suite.ts';

test('a URL names the driver and its path', () => {
  assert.deepEqual(parseStoreUrl('memory:'), { kind: 'memory' });
  assert.deepEqual(parseStoreUrl('sqlite:./state.db'), { kind: 'sqlite', path: './state.db' });
  assert.deepEqual(parseStoreUrl('sqlite:/var/lib/state.db'), { kind: 'sqlite', path: '/var/lib/state.db' });
  assert.deepEqual(parseStoreUrl('sqlite:///var/lib/state.db'), { kind: 'sqlite', path: '/var/lib/state.db' });
  assert.deepEqual(parseStoreUrl('SQLite:C:\\data\\state.db'), { kind: 'sqlite', path: 'C:\\data\\state.db' });
});

test('an invalid URL is refused with a helpful message that contains no secret', () => {
  assert.throws(
    () => parseStoreUrl('redis://:secret@'),
    (error: Error) => /a host is missing/.test(error.message) && !error.message.includes('secret'),
  );
  assert.throws(() => parseStoreUrl('sqlite:'), /a path is missing/);
  assert.throws(() => parseStoreUrl('sqlite::memory:'), /use "memory:"/);
  assert.throws(() => parseStoreUrl('./state.db'), /expected "memory:", "sqlite:PATH" or "redis:\/\/HOST", got no scheme/);
  assert.throws(
    () => parseStoreUrl('postgres://user:secret@host/db'),
    (error: Error) => /got "postgres:"/.test(error.message) && !error.message.includes('secret'),
  );
});

test('each URL opens its store', async (t) => {
  const options = { clock: createManualClock(), onWarning: () => {} };
  const memory = await openStore('memory:', options);
  const sqlite = await openStore(`sqlite:${tempFile(t)}`, options);
  assert.equal(memory.kind, 'memory');
  assert.equal(sqlite.kind, 'sqlite');
  assert.deepEqual(sqlite.health, { state: 'ok' });
  await memory.close();
  await sqlite.close();
});
