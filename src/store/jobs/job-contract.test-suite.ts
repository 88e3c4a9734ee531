/** The contract of every driver of jobs and files. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { StoreFailure } from '../backend.ts';
import { testShares } from './share-contract.test-suite.ts';
import { testHandovers } from './handover-contract.test-suite.ts';
import { testRunners } from './runner-contract.test-suite.ts';
import { beat, bytes, identity, inProgress, LIMITS, newJob, succeeded, take, text, type Story } from './job-contract.fixture.ts';
import type { JobStore, LeasedItem } from './job-store.ts';

export interface JobDriver {
  readonly name: string;
  open(t: TestContext): Promise<JobStore>;
}

export function testJobContract(driver: JobDriver): void {
  const story: Story = (name, play) => {
    test(`${driver.name}: ${name}`, async (t) => {
      const store = await driver.open(t);
      t.after(() => store.close());
      await play(store);
    });
  };
  testFiles(story);
  testRoom(story);
  testShares(story);
  testReceiving(story);
  testLeases(story);
  testRunners(story);
  testHandovers(story);
  testEnds(story);
  testJobs(story);
}

function testFiles(story: Story): void {
  story('a file is visible once it is complete, to its client only, and is read in chunks', async (store) => {
    const file = { id: 'file-1', client: 'web', createdAtMs: 1_000, expiresAtMs: 9_000 };
    assert.equal(await store.createFile(file, LIMITS), true);
    assert.equal(await store.createFile(file, LIMITS), false, 'the id is taken');
    await store.appendFile('file-1', 0, bytes('one'), LIMITS);
    await store.appendFile('file-1', 1, bytes('two'), LIMITS);
    assert.equal(await store.getFile('web', 'file-1'), null);
    const details = { purpose: 'batch', filename: 'in.jsonl', bytes: 6, expiresAtMs: 20_000 };
    assert.equal(await store.finishFile('file-1', details), true);
    assert.deepEqual(await store.getFile('web', 'file-1'), { ...file, ...details, results: null });
    assert.equal(await store.getFile('other', 'file-1'), null);
    assert.deepEqual([text(await store.readFile('file-1', 0)), text(await store.readFile('file-1', 1))], ['one', 'two']);
    assert.equal(await store.readFile('file-1', 2), null);
    assert.equal(await store.deleteFile('other', 'file-1'), false);
    assert.equal(await store.deleteFile('web', 'file-1'), true);
    assert.equal(await store.getFile('web', 'file-1'), null);
  });

  story('lists are paged by cursor, in both orders', async (store) => {
    for (const id of ['a', 'b', 'c']) {
      await store.createFile({ id, client: 'web', createdAtMs: 1, expiresAtMs: 1e12 }, LIMITS);
      await store.finishFile(id, { purpose: id === 'b' ? 'other' : 'batch', filename: id, bytes: 0, expiresAtMs: 1e12 });
    }
    const ids = async (query: object): Promise<unknown> => {
      const page = await store.listFiles({ client: 'web', limit: 10, ...query });
      return page === null ? null : [page.entries.map(({ id }) => id).join(''), page.hasMore];
    };
    assert.deepEqual(await ids({}), ['cba', false]);
    assert.deepEqual(await ids({ limit: 2 }), ['cb', true]);
    assert.deepEqual(await ids({ after: 'b' }), ['a', false]);
    assert.deepEqual(await ids({ before: 'a', limit: 1 }), ['b', true]);
    assert.deepEqual(await ids({ oldestFirst: true, after: 'a' }), ['bc', false]);
    assert.deepEqual(await ids({ kind: 'batch' }), ['ca', false]);
    assert.equal(await ids({ after: 'none' }), null);
  });
}

function testRoom(story: Story): void {
  story('an expired file is not listed', async (store) => {
    for (const [id, expiresAtMs] of [
      ['old', 5_000],
      ['new', 9_000],
    ] as const) {
      await store.createFile({ id, client: 'web', createdAtMs: 1, expiresAtMs }, LIMITS);
      await store.finishFile(id, { purpose: 'batch', filename: id, bytes: 0, expiresAtMs });
    }
    const page = await store.listFiles({ client: 'web', limit: 10, nowMs: 5_000 });
    assert.deepEqual(page!.entries.map(({ id }) => id), ['new']); // prettier-ignore
  });

  story('one client can use neither all of the store nor all job slots', async (store) => {
    const limits = { bytesMax: 4 * 1024 * 1024, clientBytesMax: 1024 * 1024, openJobsMax: 3, clientOpenJobsMax: 2 };
    const isFull = (error: unknown): boolean => error instanceof StoreFailure && error.fault === 'full' && /its share/.test(error.message);
    await store.createFile({ id: 'a', client: 'web', createdAtMs: 1, expiresAtMs: 9e9 }, limits);
    for (const index of [0, 1, 2]) await store.appendFile('a', index, new Uint8Array(512 * 1024), limits);
    await assert.rejects(store.appendFile('a', 3, new Uint8Array(1), limits), isFull);
    await assert.rejects(store.createJob(newJob('batch_1'), limits), isFull);
    await store.createFile({ id: 'b', client: 'other', createdAtMs: 1, expiresAtMs: 9e9 }, limits);
    assert.equal(await store.appendFile('b', 0, new Uint8Array(1_000), limits), true);
    await store.abandonFile('a');
    for (const id of ['batch_1', 'batch_2']) assert.equal(await store.createJob(newJob(id), limits), 'created');
    assert.equal(await store.createJob(newJob('batch_3'), limits), 'too_many');
    assert.equal(await store.createJob(newJob('batch_3', { client: 'other' }), limits), 'created');
  });

  story('all rows of a deleted entry are swept', async (store) => {
    await store.createFile({ id: 'a', client: 'web', createdAtMs: 1, expiresAtMs: 9e9 }, LIMITS);
    for (let index = 0; index < 50; index++) await store.appendFile('a', index, new Uint8Array(100_000), LIMITS);
    await store.finishFile('a', { purpose: 'batch', filename: 'a', bytes: 5e6, expiresAtMs: 9e9 });
    const small = { ...LIMITS, bytesMax: 2_000_000 };
    await assert.rejects(store.createJob(newJob('batch_1'), small), StoreFailure);
    await store.deleteFile('web', 'a');
    let rounds = 0;
    while (await store.sweep()) rounds++;
    assert.ok(rounds > 1);
    assert.equal(await store.createJob(newJob('batch_1'), small), 'created');
  });
}

function testReceiving(story: Story): void {
  story(
    'a job that is being received is not visible, accepts items from its runner, and starts when the runner has finished',
    async (store) => {
      const runner = await store.register(identity('here'), 1_000);
      const other = await store.register(identity('there'), 1_000);
      assert.equal(await store.createJob(newJob('batch_1'), LIMITS, { receivedBy: runner }), 'created');
      const item = { n: 0, customId: 'c', model: 'fast', body: bytes('{}') };
      assert.equal(await store.getJob('web', 'batch_1'), null);
      assert.deepEqual((await store.listJobs({ client: 'web', limit: 9 }))!.entries, []);
      assert.equal(await store.claimJob('batch_1', other), false, 'it is claimed from the beginning');
      assert.equal(await store.addItems('batch_1', other, [item], LIMITS), false);
      assert.equal(await store.addItems('batch_1', runner, [item], LIMITS), true);
      assert.equal((await store.changeJob('batch_1', ['receiving'], { state: 'in_progress' }))!.total, 1);
      assert.equal((await take(store, runner)).length, 1);
    },
  );

  story('a job is created with its items, and deleted with them', async (store) => {
    const runner = await store.register(identity('here'), 1_000);
    const item = { n: 0, customId: 'c', model: 'fast', body: bytes('{}') };
    assert.equal(await store.createJob(newJob('batch_1'), LIMITS, [item]), 'created');
    const job = await store.getJob('web', 'batch_1');
    assert.deepEqual([job!.state, job!.total], ['in_progress', 1]);
    const [taken] = await take(store, runner);
    assert.equal(await store.deleteJob('other', 'batch_1', ['in_progress']), false);
    assert.equal(await store.deleteJob('web', 'batch_1', ['completed']), false);
    assert.equal(await store.deleteJob('web', 'batch_1', ['in_progress']), true);
    assert.equal(await store.getJob('web', 'batch_1'), null);
    assert.equal(await store.completeItem(taken!, succeeded), 'lost');
  });

  story('the costs of completed items are summed, where they are known', async (store) => {
    const runner = await inProgress(store, 4);
    const [first, second, third] = await take(store, runner, 3);
    assert.equal(await store.completeItem(first!, { ...succeeded, facts: { costUsd: 0.25 } }), 'done');
    assert.equal(await store.completeItem(first!, { ...succeeded, facts: { costUsd: 0.25 } }), 'lost');
    assert.equal(await store.completeItem(second!, { ...succeeded, facts: { costUsd: '0.000001' } }), 'done');
    assert.equal(await store.completeItem(third!, succeeded), 'done');
    const { costUsd, priced } = (await store.getJob('web', 'batch_1'))!;
    assert.deepEqual([Number(costUsd.toPrecision(12)), priced], [0.250001, 2]);
  });

  story('the cost of a round without a result is added to the job', async (store) => {
    const runner = await inProgress(store, 1);
    const [first] = await take(store, runner, 1);
    const round = { notBeforeMs: 1_000, round: true, strike: false, note: '', costUsd: 0.25 };
    assert.equal(await store.requeueItem(first!, round), true);
    assert.equal(await store.requeueItem(first!, round), false);
    const [again] = await take(store, runner, 1);
    assert.equal(await store.completeItem(again!, { ...succeeded, facts: { costUsd: 0.5 } }), 'last');
    const { costUsd, priced } = (await store.getJob('web', 'batch_1'))!;
    assert.deepEqual([costUsd, priced], [0.75, 1]);
  });

  story('events of a stream are numbered consecutively, across restarts of the stream', async (store) => {
    const runner = await store.register(identity('here'), 1_000);
    await store.createJob(newJob('batch_1'), LIMITS, [{ n: 0, customId: '', model: 'fast', body: bytes('{}') }]);
    const [item] = await take(store, runner);
    const read = async (after: number, bytesMax = 1_000): Promise<unknown> =>
      (await store.readEvents('batch_1', after, bytesMax)).groups.map((group) => [group.first, group.count, text(group.bytes)]);
    assert.equal(await store.restartEvents(item!), 0);
    assert.equal(await store.appendEvents(item!, { first: 0, count: 2, bytes: bytes('ab') }), true);
    assert.equal(await store.appendEvents(item!, { first: 2, count: 1, bytes: bytes('c') }), true);
    assert.deepEqual(await read(-1), [[0, 2, 'ab'], [2, 1, 'c']]); // prettier-ignore
    assert.deepEqual(await read(-1, 1), [[0, 2, 'ab']]);
    assert.deepEqual(await read(0), [[0, 2, 'ab'], [2, 1, 'c']], 'a group that holds a later one'); // prettier-ignore
    assert.deepEqual(await read(1), [[2, 1, 'c']]);
    assert.equal(await store.restartEvents(item!), 3);
    assert.equal(await store.restartEvents(item!), 3);
    assert.deepEqual(await read(-1), []);
    assert.equal(await store.appendEvents(item!, { first: 3, count: 1, bytes: bytes('d') }), true);
    assert.deepEqual(await read(1), [[3, 1, 'd']]);
    assert.equal((await store.readEvents('batch_1', 3, 1)).end, 4);
    await store.completeItem(item!, succeeded);
    assert.equal(await store.appendEvents(item!, { first: 4, count: 1, bytes: bytes('e') }), false, 'it is done');
    assert.equal(await store.restartEvents(item!), null);
  });
}

function testLeases(story: Story): void {
  story('an item is leased once, in order, and has one result', async (store) => {
    const runner = await inProgress(store, 3);
    const other = await store.register(identity('there', 1), 1_000);
    const [first, second] = await take(store, runner, 2);
    assert.deepEqual([first!.customId, second!.customId, text(first!.body)], ['c0', 'c1', '{"n":0}']);
    const [third, ...none] = await take(store, other);
    assert.deepEqual([third!.customId, none], ['c2', []]);
    assert.equal(await store.markSent(first!), true);
    assert.equal(await store.completeItem(first!, succeeded), 'done');
    assert.equal(await store.completeItem(first!, succeeded), 'lost');
    assert.equal(await store.requeueItem(first!, { notBeforeMs: 0, round: true, strike: false, note: '' }), false);
    assert.equal(await store.completeItem(second!, { ...succeeded, succeeded: false }), 'done');
    assert.equal(await store.completeItem(third!, succeeded), 'last');
    const job = await store.getJob('web', 'batch_1');
    assert.deepEqual([job!.total, job!.succeeded, job!.failed], [3, 2, 1]);
    const good = await store.readResults('batch_1', true, -1, 1_000_000);
    assert.deepEqual(
      good.map(({ n, body, facts }) => [n, text(body), facts]),
      [
        [0, '{"ok":1}', { target: 'a/m' }],
        [2, '{"ok":1}', { target: 'a/m' }],
      ],
    );
    assert.deepEqual((await store.readResults('batch_1', null, 0, 1)).length, 1, 'limited by bytes');
  });

  story('items of a lease whose outcome was lost are leased again, the others are not', async (store) => {
    const runner = await inProgress(store, 4);
    const [first, second] = await take(store, runner, 2);
    await store.markSent(second!);
    await take(store, runner, 1); // lost
    const query = { runner, job: 'batch_1', model: 'fast', countMax: 10, bytesMax: 1e6, nowMs: 2_000, known: [first!.n, second!.n] };
    const { items } = await store.lease(query);
    assert.deepEqual(items.map(({ n, lease }) => [n, lease - first!.lease]), [[2, 1], [3, 0]]); // prettier-ignore
    assert.equal(await store.completeItem(first!, succeeded), 'done');
  });

  story('a requeued item waits until it is due, behind the others', async (store) => {
    const runner = await inProgress(store, 2);
    const [first] = await take(store, runner, 1);
    assert.equal(await store.requeueItem(first!, { notBeforeMs: 5_000, round: true, strike: true, note: 'busy' }), true);
    const lease = await store.lease({ runner, job: 'batch_1', model: 'fast', countMax: 10, bytesMax: 1e6, nowMs: 2_000 });
    assert.deepEqual([lease.items.map(({ n }) => n), lease.nextAtMs], [[1], 5_000]);
    const [again] = await take(store, runner, 10, 5_000);
    assert.deepEqual([again!.n, again!.rounds, again!.strikes, again!.repeated, again!.lease - first!.lease], [0, 1, 1, 0, 1]);
  });

  story('an item whose call was cut off is marked once, which does not count as a crash', async (store) => {
    const runner = await inProgress(store, 1);
    for (let i = 0; i < 4; i++) {
      const [item] = await take(store, runner);
      assert.equal(item!.repeated, i === 0 ? 0 : 1);
      await store.markSent(item!);
      assert.equal(await store.requeueItem(item!, { notBeforeMs: 0, round: true, strike: false, wasCut: true, note: '' }), true);
    }
    const [last] = await take(store, runner);
    assert.equal(await store.completeItem(last!, succeeded), 'last');
    assert.equal((await store.readResults('batch_1', true, -1, 1e6))[0]!.repeated, 1);
  });
}

function testEnds(story: Story): void {
  story('a late result of a deleted job does not end an item of a later job with the same id', async (store) => {
    const runner = await store.register(identity('here'), 1_000);
    const item = { n: 0, customId: 'c', model: 'fast', body: bytes('{}') };
    const again = { notBeforeMs: 0, round: false, strike: false, note: '' };
    const leases: LeasedItem[] = [];
    for (let round = 0; round < 2; round++) {
      assert.equal(await store.createJob(newJob('batch_1'), LIMITS, [item]), 'created');
      leases.push((await take(store, runner))[0]!);
      await store.requeueItem(leases.at(-1)!, again);
      leases.push((await take(store, runner))[0]!);
      if (round === 0) assert.equal(await store.deleteJob('web', 'batch_1', ['in_progress']), true);
    }
    for (const lease of leases.slice(0, 2)) {
      assert.equal(await store.markSent(lease), false);
      assert.equal(await store.requeueItem(lease, again), false);
      assert.equal(await store.completeItem(lease, succeeded), 'lost');
    }
    assert.equal(await store.completeItem(leases.at(-1)!, succeeded), 'last');
  });

  story('a taken id is reported as such at the limits, too', async (store) => {
    for (const id of ['a', 'b', 'c']) assert.equal(await store.createJob(newJob(id), LIMITS), 'created');
    assert.equal(await store.createJob(newJob('b'), LIMITS), 'taken');
    await store.createFile({ id: 'f', client: 'web', createdAtMs: 1, expiresAtMs: 1e12 }, LIMITS);
    await store.appendFile('f', 0, new Uint8Array(1_000_000), LIMITS);
    assert.equal(await store.createJob(newJob('b'), { ...LIMITS, bytesMax: 1_000 }), 'taken');
  });

  story('queued items can be ended together', async (store) => {
    const runner = await inProgress(store, 3);
    const [first] = await take(store, runner, 1);
    assert.equal(await store.endQueued('batch_1', { code: 'batch_expired', message: 'over' }), 2);
    assert.equal(await store.endQueued('batch_1', { code: 'batch_expired', message: 'over' }), 0);
    assert.equal(await store.completeItem(first!, succeeded), 'last');
    const failed = await store.readResults('batch_1', false, -1, 1e6);
    assert.deepEqual(
      failed.map(({ n, error, body }) => [n, error, body]),
      [
        [1, { code: 'batch_expired', message: 'over' }, null],
        [2, { code: 'batch_expired', message: 'over' }, null],
      ],
    );
  });

  story('queued items of one model can be ended, delayed ones included', async (store) => {
    const runner = await store.register(identity('here', 1), 1_000);
    const items = ['fast', 'other', 'fast'].map((model, n) => ({ n, customId: `c${n}`, model, body: bytes('{}') }));
    assert.equal(await store.createJob(newJob('batch_1'), LIMITS, items), 'created');
    const [first] = await take(store, runner, 1);
    await store.requeueItem(first!, { notBeforeMs: 9_000, round: false, strike: false, note: '' });
    const over = { code: 'batch_expired', message: 'over' };
    assert.deepEqual([await store.endQueued('batch_1', over, 'fast'), await store.endQueued('batch_1', over, 'fast')], [2, 0]);
    assert.equal(await store.endQueued('batch_1', over, 'none'), 0);
    assert.equal(await store.endQueued('batch_1', over), 1);
  });
}

function testJobs(story: Story): void {
  story('a job changes only from the named states, and one runner at a time claims it', async (store) => {
    const runner = await store.register(identity('here', 1), 1_000);
    const other = await store.register(identity('there', 1), 1_000);
    await store.createJob(newJob('batch_1'), LIMITS);
    assert.equal(await store.createJob(newJob('batch_1'), LIMITS), 'taken');
    assert.equal(await store.claimJob('batch_1', runner), true);
    assert.equal(await store.claimJob('batch_1', other), false);
    assert.equal(await store.addItems('batch_1', other, [{ n: 0, customId: 'a', model: 'm', body: bytes('{}') }], LIMITS), false);
    assert.equal(await store.changeJob('batch_1', ['in_progress'], { state: 'cancelling' }), null);
    const changed = await store.changeJob('batch_1', ['validating'], { state: 'in_progress', data: { more: 1 } });
    assert.deepEqual([changed!.state, changed!.data], ['in_progress', { input: 'x', more: 1 }]);
    assert.equal(await store.claimJob('batch_1', other), true, 'the change released it');
    assert.deepEqual(
      (await store.beat(beat(runner))).map(({ id, state }) => [id, state]),
      [['batch_1', 'in_progress']],
    );
    await store.changeJob('batch_1', ['in_progress'], { state: 'completed', keepUntilMs: 50_000 });
    assert.deepEqual(await store.beat(beat(runner)), []);
    assert.equal((await store.getJob('web', 'batch_1'))!.state, 'completed');
    await store.beat(beat(runner, { nowMs: 50_000 }));
    assert.equal(await store.getJob('web', 'batch_1'), null);
  });

  story('growth is bounded: open jobs, and bytes', async (store) => {
    for (const id of ['a', 'b', 'c']) assert.equal(await store.createJob(newJob(id), LIMITS), 'created');
    assert.equal(await store.createJob(newJob('d'), LIMITS), 'too_many');
    const small = { ...LIMITS, bytesMax: 1_000_000 };
    await store.createFile({ id: 'f', client: 'web', createdAtMs: 1, expiresAtMs: 1e12 }, small);
    const write = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) await store.appendFile('f', index, new Uint8Array(100_000), small);
    };
    await assert.rejects(write(), (error) => error instanceof StoreFailure && error.fault === 'full');
    assert.equal((await store.getJob('web', 'a'))!.state, 'validating', 'the rest continues');
  });
}
