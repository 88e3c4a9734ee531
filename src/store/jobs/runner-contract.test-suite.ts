/** The contract of runners: what a dead one held is run again, and counts as repeated where it may have been sent. */
import assert from 'node:assert/strict';
import { beat, identity, inProgress, succeeded, take, type Story } from './job-contract.fixture.ts';

export function testRunners(story: Story): void {
  story('a call that was cut off counts as no crash: its item survives as many crashes as any other', async (store) => {
    let runner = await inProgress(store, 1);
    const [cut] = await take(store, runner);
    await store.markSent(cut!);
    await store.requeueItem(cut!, { notBeforeMs: 0, round: false, strike: false, wasCut: true, note: '' });
    for (const repeated of [1, 1]) {
      const [item] = await take(store, runner, 1, 20_000);
      assert.equal(item!.repeated, repeated);
      await store.markSent(item!);
      const process = identity('there', 1, runner);
      const next = await store.register(process, 20_000);
      await store.beat(beat(next, { nowMs: 20_000, ...process }));
      runner = next;
    }
    const [last] = await take(store, runner, 1, 20_000);
    assert.equal(await store.completeItem(last!, succeeded), 'last');
    assert.equal((await store.readResults('batch_1', true, -1, 1e6))[0]!.repeated, 2);
  });

  story("a dead runner's items are requeued: those that were sent are marked, and fail the third time", async (store) => {
    let runner = await inProgress(store, 2);
    for (const repeated of [0, 1, 2]) {
      const taken = await take(store, runner, 10, 20_000);
      const [sent, waiting] = [0, 1].map((n) => taken.find((item) => item.n === n));
      assert.deepEqual([sent!.repeated, waiting!.repeated], [repeated, 0]);
      if (repeated > 0) assert.equal(taken[0], waiting, 'items that were never sent come first');
      await store.markSent(sent!);
      const process = identity('there', 1, repeated);
      const next = await store.register(process, 20_000);
      await store.beat(beat(next, { nowMs: 20_000, ...process }));
      assert.equal(await store.completeItem(sent!, succeeded), 'lost', 'the late result of a dead runner');
      runner = next;
    }
    const [only] = await take(store, runner);
    assert.equal(only!.n, 1);
    const [interrupted] = await store.readResults('batch_1', false, -1, 1e6);
    assert.deepEqual([interrupted!.n, interrupted!.error!.code, interrupted!.repeated], [0, 'interrupted', 2]);
  });

  story('a live runner keeps its items; an earlier process with the same process id is a different runner', async (store) => {
    const runner = await inProgress(store, 1);
    const other = await store.register(identity('there', 2), 2_000);
    await take(store, runner);
    await store.beat(beat(other, { ...identity('there', 2) }));
    assert.deepEqual(await take(store, other), []);
    const beside = await store.register(identity('here'), 2_000);
    await store.beat(beat(beside));
    assert.deepEqual(await take(store, beside), [], 'in the same process');
    const again = await store.register(identity('here', 1, 2), 2_000);
    await store.beat(beat(again, identity('here', 1, 2)));
    assert.equal((await take(store, again)).length, 1);
  });

  story('a runner that unregisters releases its items', async (store) => {
    const runner = await inProgress(store, 2);
    await take(store, runner);
    await store.unregister(runner, 2_000);
    const next = await store.register(identity('there', 1), 2_000);
    assert.deepEqual(
      (await take(store, next)).map(({ n, repeated }) => [n, repeated]),
      [
        [0, 0],
        [1, 0],
      ],
    );
  });
}
