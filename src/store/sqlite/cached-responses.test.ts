/** Cached responses in the file: reads, expiry and deletion at a limit. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { CachedResponseQueue, CACHED_RESPONSE_LIMITS } from '../cached-response-queue.ts';
import type { CachedResponseRow, Connection } from '../backend.ts';
import { CachedResponseTable } from './cached-response-table.ts';
import { prepareSchema } from './schema.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { tempFile } from './temp-file.test-suite.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (found: Uint8Array | null) => (found === null ? null : new TextDecoder().decode(found));

test('a response survives a restart until it expires', async (t) => {
  const path = tempFile(t);
  const clock = createManualClock({ epochMs: 1e12 });
  const options = { clock, onWarning: () => {} };
  const now = clock.epochMs();
  const first = await openSqliteStore(path, options);
  first.responses!.put('a', bytes('head '), bytes('body'), now + 60_000);
  first.responses!.put('b', bytes('gone'), bytes(''), now - 1);
  assert.equal(text(await first.responses!.get('a')), 'head body', 'immediately, written or not');
  await first.close();

  const second = await openSqliteStore(path, options);
  assert.equal(second.responses!.mayHold('a'), true);
  assert.equal(second.responses!.mayHold('b'), false);
  assert.equal(text(await second.responses!.get('a')), 'head body');
  assert.equal(await second.responses!.get('never'), null);
  await second.close();
  assert.equal(await second.responses!.get('a'), null, 'a closed store returns null and does not hang');
});

function openTable(): CachedResponseTable {
  const connection = new DatabaseSync(':memory:');
  prepareSchema(connection, null, 0);
  return new CachedResponseTable(connection, 0);
}

const row = (key: string, size: number, expiresAtMs = 1e9): CachedResponseRow => ({ key, bytes: new Uint8Array(size), expiresAtMs });

test('beyond the size limit the oldest responses are deleted, and a rewritten one counts as new', () => {
  const table = openTable();
  const bounds = { rowsMax: 100, bytesMax: 1_000 };
  for (const key of ['a', 'b', 'c', 'd']) table.put([row(key, 250)], bounds, 0);
  assert.deepEqual(table.keys(0), ['a', 'b', 'c', 'd']);
  table.put([row('a', 250)], bounds, 0);
  table.put([row('e', 250)], bounds, 0);
  assert.deepEqual(table.keys(0), ['d', 'a', 'e']);
});

test('and beyond the row limit', () => {
  const table = openTable();
  for (let i = 0; i < 25; i++) table.put([row(`k${i}`, 1)], { rowsMax: 20, bytesMax: 1_000 }, 0);
  assert.ok(table.keys(0).length <= 20);
  assert.equal(table.keys(0).at(-1), 'k24');
});

test('expired responses free their space', () => {
  const table = openTable();
  const bounds = { rowsMax: 100, bytesMax: 1_000 };
  table.put([row('old', 900, 10)], bounds, 0);
  table.put([row('a', 500), row('b', 400)], bounds, 70_000);
  assert.deepEqual(table.keys(70_000), ['a', 'b']);
  assert.equal(table.get('old', 5), null);
});

test('responses queued during an outage are bounded, and written after it', async () => {
  const clock = createManualClock();
  const put: string[] = [];
  const limits = { ...CACHED_RESPONSE_LIMITS, waitingBytesMax: 100 };
  const queue = new CachedResponseQueue({ clock, readTimeoutMs: 10, writeTimeoutMs: 10, limits, onFailure: () => assert.fail() });
  for (let i = 0; i < 50; i++) queue.put(`k${i}`, bytes('12345'), bytes('12345'), 1e15);
  assert.equal(queue.dropped, 40);
  assert.equal(queue.mayHold('k0'), false);
  assert.equal(text(await queue.get('k49')), '1234512345');
  const connection = {
    responses: {
      put: async (rows: readonly CachedResponseRow[]) => void put.push(...rows.map(({ key }) => key)),
      get: async () => null,
      keys: async () => [],
    },
  } as unknown as Connection;
  await queue.attach(connection);
  await queue.flush();
  assert.equal(put.length, 10);
  assert.equal(put.at(-1), 'k49');
});
