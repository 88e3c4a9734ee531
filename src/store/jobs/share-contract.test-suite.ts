/** The contract of a client's share of the store: what is deleted no longer counts. */
import assert from 'node:assert/strict';
import { StoreFailure } from '../backend.ts';
import { beat, bytes, identity, LIMITS, newJob, succeeded, take, type Story } from './job-contract.fixture.ts';
import type { JobStore } from './job-store.ts';

const MIB = 1024 * 1024;
const SHARE = { ...LIMITS, clientBytesMax: MIB };

/** A job of the client `web` in the state `validating`, of three items that fill its share. Others fill the rest of the store. */
async function filled(store: JobStore): Promise<number> {
  await store.createFile({ id: 'file-other', client: 'other', createdAtMs: 1, expiresAtMs: 1e12 }, LIMITS);
  await store.appendFile('file-other', 0, new Uint8Array(4 * MIB), LIMITS);
  const runner = await store.register(identity('here'), 1_000);
  await store.createJob(newJob('batch_1'), LIMITS);
  await store.claimJob('batch_1', runner);
  const body = new Uint8Array(MIB / 2);
  const items = [0, 1, 2].map((n) => ({ n, customId: `c${n}`, model: 'fast', body }));
  assert.equal(await store.addItems('batch_1', runner, items, LIMITS), true);
  assert.equal(await isFull(store), true);
  return runner;
}

async function isFull(store: JobStore): Promise<boolean> {
  try {
    await store.createFile({ id: 'file-probe', client: 'web', createdAtMs: 1, expiresAtMs: 1e12 }, SHARE);
  } catch (error) {
    assert.ok(error instanceof StoreFailure && error.fault === 'full' && /its share/.test(error.message));
    return true;
  }
  await store.abandonFile('file-probe');
  return false;
}

async function begin(store: JobStore): Promise<void> {
  assert.notEqual(await store.changeJob('batch_1', ['validating'], { state: 'in_progress' }), null);
}

export function testShares(story: Story): void {
  story('queued requests that are ended no longer count towards the share of the client', async (store) => {
    await filled(store);
    await begin(store);
    assert.equal(await store.endQueued('batch_1', { code: 'batch_cancelled', message: 'over' }), 3);
    assert.equal(await isFull(store), false);
  });

  story('a completed item counts with its result, not with its request', async (store) => {
    const runner = await filled(store);
    await begin(store);
    const items = [];
    for (let n = 0; n < 3; n++) items.push(...(await take(store, runner, 1)));
    await store.completeItem(items[0]!, { ...succeeded, body: new Uint8Array(0.75 * MIB) });
    assert.equal(await isFull(store), true);
    await store.completeItem(items[1]!, { ...succeeded, body: null });
    assert.equal(await isFull(store), true);
    await store.completeItem(items[2]!, { ...succeeded, body: bytes('{}') });
    assert.equal(await isFull(store), false);
  });

  story('requests that are interrupted no longer count towards the share of the client', async (store) => {
    let runner = await filled(store);
    await begin(store);
    for (let crash = 1; crash <= 3; crash++) {
      for (let n = 0; n < 3; n++) for (const item of await take(store, runner, 1, 20_000)) await store.markSent(item);
      const process = identity('there', 1, crash);
      runner = await store.register(process, 20_000);
      await store.beat(beat(runner, { nowMs: 20_000, ...process }));
    }
    assert.equal((await store.getJob('web', 'batch_1'))!.failed, 3);
    assert.equal(await isFull(store), false);
  });

  story('the requests of a job that is cancelled before it has started no longer count', async (store) => {
    await filled(store);
    await store.changeJob('batch_1', ['validating'], { state: 'cancelled', keepUntilMs: 1e12 });
    assert.equal(await isFull(store), false);
  });

  story('results count until the last file that shows them is deleted', async (store) => {
    const runner = await filled(store);
    await begin(store);
    for (let n = 0; n < 3; n++) {
      const [item] = await take(store, runner, 1);
      await store.completeItem(item!, { ...succeeded, succeeded: n > 0, body: new Uint8Array(MIB / 2) });
    }
    const common = { client: 'web', job: 'batch_1', purpose: 'batch_output', filename: 'out', bytes: 1, createdAtMs: 1, expiresAtMs: 1e12 };
    const files = [
      { ...common, id: 'file-good', succeeded: true },
      { ...common, id: 'file-bad', succeeded: false },
    ];
    await store.changeJob('batch_1', ['in_progress'], { state: 'completed', keepUntilMs: 1e12, files });
    assert.equal(await store.deleteFile('web', 'file-good'), true);
    assert.equal(await isFull(store), true);
    assert.equal(await store.deleteFile('web', 'file-bad'), true);
    assert.equal(await isFull(store), false);
  });
}
