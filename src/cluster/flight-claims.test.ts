import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { createPair, createRecorded, createStore, listen, refuses, urgency } from './flights.fixture.ts';
import type { FlightLead } from './flights.ts';

test('a claim is free a second after its response is whole, and at once after a failure', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  const whole = await one.claim(['x'], 'f', refuses, null);
  one.end(whole!.id, refuses);
  await clock.advanceAsync(900);
  assert.notEqual((await two.claim(['x'], 'f', refuses, null))!.foreign, null);
  await clock.advanceAsync(200);
  const next = await two.claim(['x'], 'f', refuses, null);
  assert.equal(next!.foreign, null);
  two.end(next!.id, null);
  await clock.advanceAsync(0);
  assert.equal((await one.claim(['x'], 'f', refuses, null))!.foreign, null);
});

test('claims that could not be released are released once the store is back', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const release = store.release.bind(store);
  store.release = () => Promise.reject(new Error('away'));
  for (const [name, isWhole] of [
    ['x', true],
    ['y', false],
  ] as const)
    one.end((await one.claim([name], 'f', refuses, null))!.id, isWhole ? refuses : null);
  await clock.advanceAsync(5_000);
  assert.equal(store.claims.size, 2);
  store.release = release;
  await clock.advanceAsync(1_000);
  assert.deepEqual([store.claims.size, clock.pendingTimers], [0, 0]);
});

test('the claim of an instance that is gone is replaced, and by one instance only', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const key = (await one.claim(['x'], 'f', refuses, null))!;
  const [name] = store.claims.keys();
  store.claims.set(name!, 'dead.1 of another request');
  const [first, second] = [(await two.claim(['x'], 'f', refuses, null))!, (await one.claim(['x'], 'f', refuses, null))!];
  const instead = first.foreign!.owner;
  assert.equal((await two.claim(['x'], 'f', refuses, { id: first.id, instead }))!.foreign, null);
  assert.notEqual((await one.claim(['x'], 'f', refuses, { id: second.id, instead }))!.foreign, null);
  one.end(key.id, null);
  await clock.advanceAsync(0);
  assert.equal(store.claims.size, 1, 'the release of an old claim leaves that of another');
});

test('a claim on a slow store ends after 100 ms, and for a second none is made', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  store.isHanging = true;
  const claimed = one.claim(['x'], 'f', refuses, null);
  await clock.advanceAsync(100);
  assert.equal(await claimed, null);
  assert.equal(one.isAvailable, false);
  assert.equal(await one.claim(['x'], 'f', refuses, null), null);
  await clock.advanceAsync(1_000);
  assert.equal(one.isAvailable, true);
});

/** A complete response in memory. */
const kept: FlightLead = {
  record(recorder) {
    recorder.add('hello');
    recorder.add('end');
    recorder.close();
    return () => {};
  },
};

test('a complete response is recorded for each follower until its claim is released', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const { id } = (await one.claim(['x'], 'f', refuses, null))!;
  one.end(id, kept);
  for (let i = 0; i < 2; i++) {
    const heard = listen();
    two.follow(id, urgency, heard);
    await clock.advanceAsync(100);
    assert.deepEqual(heard.seen, ['hello', 'end']);
  }
  assert.deepEqual(
    store.parts.get(id)!.map(({ kind }) => kind),
    ['hello', 'end'],
    'recorded once',
  );
  await clock.advanceAsync(1_000);
  const late = listen();
  await store.clear(id);
  two.follow(id, urgency, late);
  await clock.advanceAsync(100);
  assert.deepEqual([late.seen, clock.pendingTimers], [['gone'], 0]);
});

test('a claim is kept for a second after its own response is complete, whenever others were', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  const early = (await one.claim(['x'], 'f', refuses, null))!;
  const late = (await one.claim(['y'], 'f', refuses, null))!;
  one.end(early.id, kept);
  await clock.advanceAsync(990);
  one.end(late.id, kept);
  await clock.advanceAsync(500);
  assert.equal((await two.claim(['x'], 'f', refuses, null))!.foreign, null);
  assert.notEqual((await two.claim(['y'], 'f', refuses, null))!.foreign, null);
  await clock.advanceAsync(1_000);
  assert.equal((await two.claim(['y'], 'f', refuses, null))!.foreign, null);
});

test('the claim of an instance that has left the fleet is replaced at once, with any fingerprint', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  await one.claim(['x'], 'f', refuses, null);
  two.keepOnly(['a', 'b']);
  assert.equal((await two.claim(['x'], 'other', refuses, null))!.foreign!.isSame, false);
  two.keepOnly(['b']);
  assert.equal((await two.claim(['x'], 'other', refuses, null))!.foreign, null);
});

test('an instance that is not in the list of members is gone if the next list lacks it, too', async () => {
  const clock = createManualClock();
  const [one] = createPair(clock, createStore());
  const answers: boolean[] = [];
  for (const id of ['b.1', 'unknown.1']) void one.isGone({ at: 0, id, owner: id, isSame: false }).then((isGone) => answers.push(isGone));
  await clock.advanceAsync(1_000);
  assert.deepEqual(answers, [false]);
  await clock.advanceAsync(1_000);
  assert.deepEqual(answers, [false, true]);
});

test('a further claim keeps the recording of the first, which ends with its last follower', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const recorded = createRecorded();
  await two.claim(['y'], 'f', refuses, null);
  const { id, foreign } = (await one.claim(['x', 'y'], 'f', recorded, null))!;
  const heard = listen();
  const following = two.follow(id, urgency, heard);
  await clock.advanceAsync(100);
  const again = await one.claim(['x', 'y'], 'f', recorded, { id, instead: foreign!.owner });
  assert.deepEqual(again, { id, foreign: null });
  following.stop();
  await clock.advanceAsync(100);
  assert.equal(recorded.stops, 1);
  one.end(id, null);
  await clock.advanceAsync(0);
  assert.equal(store.claims.size, 0);
});

test('a response that ends during a further claim gives it up', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const { id } = (await one.claim(['x'], 'f', refuses, null))!;
  const claiming = one.claim(['x'], 'f', refuses, { id, instead: 'dead.1 f' });
  one.end(id, null);
  await claiming;
  await clock.advanceAsync(0);
  assert.equal(store.claims.size, 0);
});
