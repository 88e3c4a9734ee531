/** What every driver does with items that are handed over to a provider's own batch. */
import assert from 'node:assert/strict';
import { identity, inProgress, succeeded, take, text, type Story } from './job-contract.fixture.ts';
import type { JobStore } from './job-store.ts';

const back = (store: JobStore, n: number, runner: number, batch = 'b1') => store.takeBack({ job: 'batch_1', n, batch, runner });
const end = async (store: JobStore, repeated: boolean, batch = 'b1', round = true): Promise<number> => {
  let ended = 0;
  for (let more = 1; more > 0; ended += more) more = await store.endHandover({ job: 'batch_1', batch, repeated, round, note: 'late' });
  return ended;
};
export function testHandovers(story: Story): void {
  story('items handed over are leased by no runner, and each is taken back once for its result', async (store) => {
    const runner = await inProgress(store, 3);
    const taken = await take(store, runner, 2);
    assert.deepEqual(await store.handOver(taken, 'b1'), [0, 1]);
    assert.deepEqual(await store.handOver(taken, 'b1'), [0, 1], 'repeated after a lost outcome');
    assert.deepEqual(await store.handOver(taken, 'b2'), [], 'another batch does not get them');
    assert.deepEqual((await take(store, runner)).map(({ n }) => n), [2]); // prettier-ignore
    assert.equal(await store.completeItem(taken[0]!, succeeded), 'lost');
    assert.equal(await store.endQueued('batch_1', { code: 'x', message: 'y' }), 0);
    assert.equal(await back(store, 0, runner, 'b2'), null);
    assert.equal(await back(store, 2, runner), null);
    const first = await back(store, 0, runner);
    assert.deepEqual([first!.customId, first!.lease - taken[0]!.lease, first!.repeated, text(first!.body)], ['c0', 1, 0, '{"n":0}']);
    assert.equal(await store.completeItem(first!, succeeded), 'done');
    assert.equal(await back(store, 0, runner), null);
    const second = await back(store, 1, runner);
    assert.equal(await store.requeueItem(second!, { notBeforeMs: 0, round: true, strike: false, note: '' }), true);
    assert.equal(await back(store, 1, runner), null, 'the queue has it');
    assert.equal((await take(store, runner))[0]!.n, 1);
  });

  story('a batch keeps its items when runners die, also those that were taken back but not sent', async (store) => {
    const runner = await inProgress(store, 3);
    await store.handOver(await take(store, runner), 'b1');
    const before = await back(store, 0, runner);
    const sent = await back(store, 1, runner);
    assert.equal(await store.markSent(sent!), true);
    await store.unregister(runner, 2_000);
    const next = await store.register(identity('here', 2), 2_000);
    assert.deepEqual((await take(store, next)).map(({ n, repeated }) => [n, repeated]), [[1, 1]]); // prettier-ignore
    const again = await back(store, 0, next);
    assert.deepEqual([again!.repeated, again!.lease - before!.lease], [0, 1]);
    assert.equal((await back(store, 0, next))!.lease, again!.lease + 1, 'repeated after a lost outcome');
    assert.equal(await store.completeItem(again!, succeeded), 'lost');
    const other = await store.register(identity('there', 3), 2_000);
    assert.equal(await back(store, 0, other), null, 'another runner has it');
  });

  story('what a batch did not deliver is queued again, and counts as repeated where it may have been processed', async (store) => {
    const runner = await inProgress(store, 4);
    await store.handOver(await take(store, runner, 2), 'b1');
    assert.equal(await end(store, false), 2);
    assert.equal(await end(store, false), 0);
    const repeated: number[][] = [];
    for (let round = 0; round < 3; round++) {
      const taken = await take(store, runner, 4);
      repeated.push(taken.map((item) => item.repeated));
      assert.equal(taken.find(({ n }) => n === 0)!.rounds, round + 1);
      await store.handOver(taken, `r${round}`);
      assert.equal(await end(store, true, `r${round}`), 4);
    }
    assert.deepEqual(repeated, [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]]); // prettier-ignore
    const results = await store.readResults('batch_1', false, -1, 1e6);
    assert.deepEqual(results.map(({ error }) => error!.code), Array(4).fill('interrupted')); // prettier-ignore
    assert.equal((await store.getJob('web', 'batch_1'))!.failed, 4);
  });

  story('items of a batch that was never sent are queued without a round, and are as new', async (store) => {
    const runner = await inProgress(store, 2);
    await store.handOver(await take(store, runner), 'b1');
    assert.equal(await end(store, false, 'b1', false), 2);
    const again = await take(store, runner);
    assert.deepEqual(again.map(({ n, rounds, repeated }) => [n, rounds, repeated]), [[0, 0, 0], [1, 0, 0]]); // prettier-ignore
    assert.deepEqual(await store.handOver(again, 'b2'), [0, 1]);
  });

  testHolding(story);
}

function testHolding(story: Story): void {
  story('the state of batches is saved by the runner that holds the job, which keeps it over a cancellation', async (store) => {
    const runner = await inProgress(store, 1);
    const other = await store.register(identity('there', 3), 2_000);
    const save = (heldBy: number) => store.changeJob('batch_1', ['in_progress', 'cancelling'], { heldBy, data: { native: heldBy } });
    assert.equal(await save(runner), null, 'it does not hold it yet');
    assert.equal(await store.claimJob('batch_1', runner), true);
    assert.deepEqual((await save(runner))!.data['native'], runner);
    assert.equal(await save(other), null);
    assert.notEqual(await store.changeJob('batch_1', ['in_progress'], { state: 'cancelling', ending: 'cancelled' }), null);
    assert.equal(await store.claimJob('batch_1', other), false);
    assert.notEqual(await save(runner), null);
    await store.unregister(runner, 2_000);
    assert.equal(await store.claimJob('batch_1', other), true);
    assert.equal(await save(runner), null);
    assert.notEqual(await store.changeJob('batch_1', ['cancelling'], { state: 'finalizing' }), null);
    assert.equal(await store.claimJob('batch_1', await store.register(identity('there', 4), 2_000)), true);
  });
}
