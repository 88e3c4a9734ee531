import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import type { FlightPart } from '../store/flight-store.ts';
import type { FlightRecorder } from './flight-recorder.ts';
import { createPair, createRecorded, createStore, listen, refuses, urgency } from './flights.fixture.ts';
import type { FlightLead } from './flights.ts';

test('a response is recorded once another instance follows it, and its parts arrive in order', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  let recorder: FlightRecorder | null = null;
  const lead: FlightLead = {
    record(given) {
      recorder = given;
      given.add('hello');
      return () => {};
    },
  };
  const own = await one.claim(['x'], 'f', lead, null);
  assert.deepEqual([own!.foreign, store.parts.size], [null, 0]);
  const found = await two.claim(['x'], 'f', refuses, null);
  assert.deepEqual(found!.foreign, { at: 0, id: own!.id, owner: [...store.claims.values()][0], isSame: true });
  assert.equal((await two.claim(['x'], 'other', refuses, null))!.foreign!.isSame, false);
  const heard = listen();
  two.follow(own!.id, urgency, heard);
  recorder!.add('head');
  await clock.advanceAsync(100);
  recorder!.add('end');
  recorder!.close();
  await clock.advanceAsync(200);
  assert.deepEqual(heard.seen, ['hello', 'head', 'end']);
});

test('following ends after a second without a response, and after 3.5 seconds without a heartbeat', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [, two] = createPair(clock, store);
  const never = listen();
  two.follow('dead.1', urgency, never);
  await clock.advanceAsync(900);
  assert.deepEqual(never.seen, []);
  await clock.advanceAsync(300);
  assert.deepEqual(never.seen, ['gone']);
  const silent = listen();
  await store.append('dead.2', [{ kind: 'head', meta: '', bytes: new Uint8Array(0) }]);
  two.follow('dead.2', urgency, silent);
  await clock.advanceAsync(0);
  await store.append('dead.2', [{ kind: 'beat', meta: 'null', bytes: new Uint8Array(0) }]);
  await clock.advanceAsync(3_400);
  assert.deepEqual(silent.seen, ['head']);
  await clock.advanceAsync(400);
  assert.deepEqual(silent.seen, ['head', 'gone']);
});

const saved = (...kinds: string[]): FlightPart[] => kinds.map((kind) => ({ kind, meta: 'null', bytes: new Uint8Array(0) }));

test('nothing of a recording is passed on whose instance is gone', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [, two] = createPair(clock, store);
  await store.append('dead.1', saved('hello', 'head', 'chunk', 'beat'));
  const heard = listen();
  two.follow('dead.1', urgency, heard);
  await clock.advanceAsync(1_400);
  assert.deepEqual(heard.seen, []);
  await clock.advanceAsync(300);
  assert.deepEqual([heard.seen, clock.pendingTimers], [['gone'], 0]);
});

test('a recording that is complete is passed on, although its instance is gone', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [, two] = createPair(clock, store);
  await store.append('dead.1', saved('hello', 'head', 'end'));
  const heard = listen();
  two.follow('dead.1', urgency, heard);
  await clock.advanceAsync(50);
  assert.deepEqual(heard.seen, ['hello', 'head', 'end']);
});

test('a second follower gets at once what is recorded, although nothing new comes', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  const { id } = (await one.claim(['x'], 'f', createRecorded(), null))!;
  for (let i = 0; i < 2; i++) {
    const heard = listen();
    two.follow(id, urgency, heard);
    await clock.advanceAsync(50);
    assert.deepEqual(heard.seen, ['hello', 'head']);
  }
});

test('a response whose followers have left is recorded anew for the next one', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const recorded = createRecorded();
  const { id } = (await one.claim(['x'], 'f', recorded, null))!;
  const first = listen();
  const following = two.follow(id, urgency, first);
  await clock.advanceAsync(100);
  following.stop();
  await clock.advanceAsync(100);
  assert.deepEqual([recorded.stops, store.parts.get(id)], [1, []]);
  await clock.advanceAsync(5_000);
  assert.deepEqual(store.parts.get(id), [], 'no heartbeat without followers');
  const second = listen();
  two.follow(id, urgency, second);
  await clock.advanceAsync(100);
  recorded.recorder!.add('end');
  await clock.advanceAsync(100);
  assert.deepEqual(
    [first.seen, second.seen],
    [
      ['hello', 'head'],
      ['hello', 'head', 'end'],
    ],
  );
});

test('a recording ends if its follower gets no heartbeat or its store fails', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const recorded = createRecorded();
  const { id } = (await one.claim(['x'], 'f', recorded, null))!;
  const failing = listen();
  two.follow(id, urgency, failing);
  await clock.advanceAsync(100);
  store.isFailing = true;
  await clock.advanceAsync(200);
  assert.deepEqual([failing.seen.at(-1), recorded.stops], ['gone', 1]);
  store.isFailing = false;
  const silent = listen();
  two.follow(id, urgency, silent);
  await clock.advanceAsync(100);
  recorded.recorder!.close();
  await clock.advanceAsync(4_000);
  assert.deepEqual([silent.seen.at(-1), recorded.stops], ['gone', 2]);
});

test('a follower that is refused concerns neither later followers nor the end of their recording', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  const recorded = createRecorded();
  recorded.isRefused = true;
  const { id } = (await one.claim(['x'], 'f', recorded, null))!;
  const refused = listen();
  two.follow(id, urgency, refused);
  await clock.advanceAsync(100);
  assert.deepEqual(refused.seen, ['gone']);
  recorded.isRefused = false;
  const served = listen();
  const following = two.follow(id, urgency, served);
  await clock.advanceAsync(100);
  assert.deepEqual(served.seen, ['hello', 'head']);
  following.stop();
  await clock.advanceAsync(100);
  assert.equal(recorded.stops, 1);
});

test('a recording whose parts could not be saved is begun anew for the next follower', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const recorded = createRecorded();
  const append = store.append.bind(store);
  store.append = () => Promise.reject(new Error('away'));
  const { id } = (await one.claim(['x'], 'f', recorded, null))!;
  const lost = listen();
  two.follow(id, urgency, lost);
  await clock.advanceAsync(100);
  store.append = append;
  const served = listen();
  two.follow(id, urgency, served);
  await clock.advanceAsync(100);
  assert.deepEqual(served.seen, ['hello', 'head']);
});

test('a recording ends when its last follower is no longer a member', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const recorded = createRecorded();
  const { id } = (await one.claim(['x'], 'f', recorded, null))!;
  for (const follower of ['b.1', 'c.1']) one.take(['follow', id, JSON.stringify(urgency), follower]);
  one.keepOnly(['a', 'c']);
  assert.equal(recorded.stops, 0);
  one.keepOnly(['a']);
  await clock.advanceAsync(0);
  assert.deepEqual([recorded.stops, store.parts.get(id), clock.pendingTimers], [1, [], 0]);
});

test('no part arrives after a stop', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [, two] = createPair(clock, store);
  const part = (kind: string): FlightPart => ({ kind, meta: '', bytes: new Uint8Array(0) });
  await store.append('a.1', ['head', 'fail', 'end'].map(part));
  const seen: string[] = [];
  const following = two.follow('a.1', urgency, { part: ({ kind }) => (seen.push(kind), 'pause'), gone: () => void seen.push('gone') });
  await clock.advanceAsync(0);
  following.stop();
  await clock.advanceAsync(5_000);
  assert.deepEqual(seen, ['head']);
});

test('a response that ends after the close releases its claim at once, and no timer is left', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const early = (await one.claim(['x'], 'f', refuses, null))!;
  const late = (await one.claim(['y'], 'f', refuses, null))!;
  one.end(early.id, refuses);
  await one.close();
  one.end(late.id, refuses);
  await clock.advanceAsync(0);
  assert.deepEqual([store.claims.size, clock.pendingTimers], [0, 0]);
});

test('a check is answered by an instance that still makes the response, and by no other', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const { id } = (await one.claim(['x'], 'f', createRecorded(), null))!;
  let alive = 0;
  const following = two.follow(id, urgency, { ...listen(), alive: () => void alive++ });
  await clock.advanceAsync(3_200);
  assert.equal(alive, 0, 'it was not asked');
  following.check();
  await clock.advanceAsync(200);
  assert.equal(alive, 1);
  one.take = () => {};
  following.check();
  await clock.advanceAsync(3_000);
  assert.equal(alive, 1);
  following.stop();
});

test('more than 500 responses are followed, each with fewer reads', async () => {
  const readsOf = async (count: number): Promise<number> => {
    const clock = createManualClock();
    const store = createStore();
    const [one, two] = createPair(clock, store);
    const { id } = (await one.claim(['x'], 'f', createRecorded(), null))!;
    const all = Array.from({ length: count }, () => listen());
    const following = all.map((each) => two.follow(id, urgency, each));
    for (let i = 0; i < 100; i++) await clock.advanceAsync(5);
    let reads = 0;
    const read = store.read.bind(store);
    store.read = (...args) => (reads++, read(...args));
    for (let i = 0; i < 400; i++) await clock.advanceAsync(5);
    for (const each of following) each.stop();
    assert.ok(all.every(({ seen }) => seen.join() === 'hello,head'));
    return reads;
  };
  const [some, many] = [await readsOf(500), await readsOf(1_500)];
  assert.ok(many / 1_500 < (0.6 * some) / 500, `${many} reads, ${some} of 500`);
});
