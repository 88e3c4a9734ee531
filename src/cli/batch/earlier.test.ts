import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BatchApi, BatchObject } from './api.ts';
import { findLater, findRun, lastOf, retryData, sourceData } from './earlier.ts';
import { keptText } from './finish.ts';

const SOURCE = 's1';

function batch(
  id: string,
  status: string,
  completed: number,
  metadata: Readonly<Record<string, string>> = sourceData(SOURCE),
): BatchObject {
  return { id, status, request_counts: { total: 3, completed, failed: 3 - completed }, metadata } as unknown as BatchObject;
}

function retryOf(first: string, id: string, status: string, completed: number): BatchObject {
  return batch(id, status, completed, retryData({ first: batch(first, 'completed', 1), retries: [] }));
}

/** The ids of the run, the last one first, and the batch that a new one follows. `newest`: the list of the gateway. */
async function found(newest: readonly BatchObject[], isRetry: boolean): Promise<readonly [string | null, string | null]> {
  const api = {
    async *list() {
      yield* newest;
    },
  } as unknown as BatchApi;
  const { run, lastId } = await findRun(api, SOURCE, isRetry);
  return [run === null ? null : `${lastOf(run).id} of ${run.first.id}`, lastId];
}

test('the last run that has succeeded in part is continued', async () => {
  const other = batch('other', 'completed', 3, sourceData('s2'));
  assert.deepEqual(await found([other], false), [null, null]);
  assert.deepEqual(await found([other, batch('b', 'completed', 1), batch('a', 'completed', 3)], false), ['b of b', 'b']);
  assert.deepEqual(await found([batch('b', 'failed', 0), batch('a', 'completed', 3)], false), ['a of a', 'b']);
  assert.deepEqual(await found([batch('b', 'cancelled', 1), batch('a', 'in_progress', 0)], false), ['a of a', 'b']);
  assert.deepEqual(await found([batch('a', 'completed', 0)], false), [null, 'a']);
});

test('its retries belong to it; refused ones are left out', async () => {
  const first = batch('a', 'expired', 1);
  assert.deepEqual(await found([first], false), [null, 'a']);
  assert.deepEqual(await found([retryOf('a', 'r2', 'failed', 0), retryOf('a', 'r1', 'completed', 1), first], false), ['r1 of a', 'a']);
  assert.deepEqual(await found([retryOf('b', 'r1', 'completed', 1), first], false), [null, 'a']);
  assert.deepEqual(await found([retryOf('a', 'r1', 'in_progress', 0), first], false), ['r1 of a', 'a']);
});

test('after a retry, a run with any success is continued, however the first batch and the retry have ended', async () => {
  for (const status of ['expired', 'cancelled', 'completed']) {
    for (const ended of ['expired', 'cancelled', 'completed'])
      assert.deepEqual(await found([retryOf('a', 'r1', ended, 0), batch('a', status, 2)], false), ['r1 of a', 'a'], `${status}, ${ended}`);
    assert.deepEqual(await found([retryOf('a', 'r1', 'completed', 0), batch('a', status, 0)], false), [null, 'a'], status);
  }
  assert.deepEqual(await found([retryOf('a', 'r1', 'failed', 0), batch('a', 'expired', 2)], false), [null, 'a']);
});

test('the command that writes kept results starts nothing', () => {
  const first = batch('a', 'expired', 2);
  const text = (completed: number): string =>
    keptText({
      first: { ...first, request_counts: { ...first.request_counts, completed } },
      retries: [retryOf('a', 'r1', 'completed', 0)],
    });
  assert.match(text(2), /: the same command without --retry-failed writes them$/);
  assert.match(text(0), /: breakwater batch results r1 --output FILE writes them$/);
  assert.match(keptText({ first, retries: [] }), /: breakwater batch results a --output FILE writes them$/);
});

test('a retry also continues a run in which nothing succeeded, and follows its last retry', async () => {
  for (const status of ['expired', 'cancelled', 'completed'])
    assert.deepEqual(await found([batch('a', status, 0)], true), ['a of a', 'a'], status);
  assert.deepEqual(await found([batch('b', 'cancelled', 0), batch('a', 'completed', 1)], true), ['a of a', 'a']);
  assert.deepEqual(await found([retryOf('a', 'r2', 'failed', 0), retryOf('a', 'r1', 'completed', 0), batch('a', 'completed', 0)], true), [
    'r1 of a',
    'r2',
  ]);
  assert.deepEqual(await found([batch('a', 'failed', 0)], true), [null, 'a']);
});

test('the results of a run are outdated by its later retries and by later runs, once those have ended with a success', async () => {
  const own = batch('a', 'completed', 1);
  const later = async (newest: readonly BatchObject[], retries: readonly BatchObject[] = []): Promise<string | null> => {
    const api = { async *list() { yield* newest; } } as unknown as BatchApi; // prettier-ignore
    const run = await findLater(api, SOURCE, { first: own, retries });
    return run === null ? null : `${lastOf(run).id} of ${run.first.id}`;
  };
  const r1 = retryOf('a', 'r1', 'completed', 0);
  assert.equal(await later([own]), null);
  assert.equal(await later([own, batch('before', 'completed', 3)]), null);
  assert.equal(await later([r1, own], [r1]), null);
  assert.equal(await later([r1, own]), 'r1 of a');
  assert.equal(await later([retryOf('a', 'r2', 'completed', 1), r1, own], [r1]), 'r2 of a');
  for (const status of ['in_progress', 'failed']) assert.equal(await later([retryOf('a', 'r1', status, 0), own]), null, status);
  assert.equal(await later([batch('b', 'completed', 2), own]), 'b of b');
  for (const [status, completed] of [
    ['in_progress', 1],
    ['failed', 0],
    ['completed', 0],
  ] as const)
    assert.equal(await later([batch('b', status, completed), own]), null, status);
});
