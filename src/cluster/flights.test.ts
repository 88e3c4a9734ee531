import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import type { FlightClaim, FlightPart, FlightStore, PlacedPart } from '../store/flight-store.ts';
import type { FlightRecorder } from './flight-recorder.ts';
import { Flights, type FlightLead } from './flights.ts';

interface Fake extends FlightStore {
  isHanging: boolean;
  isFailing: boolean;
  readonly claims: Map<string, string>;
  readonly parts: Map<string, PlacedPart[]>;
}

function createStore(): Fake {
  const claims = new Map<string, string>();
  const parts = new Map<string, PlacedPart[]>();
  let place = 0;
  const hang = <T>(): Promise<T> => new Promise(() => {});
  const store: Fake = {
    isHanging: false,
    isFailing: false,
    claims,
    parts,
    async claim({ names, owner, member, instead }: FlightClaim) {
      if (store.isHanging) return hang();
      for (const [at, name] of names.entries()) {
        const held = claims.get(name);
        if (held !== undefined && held !== instead && !held.startsWith(`${member}.`)) return { at, owner: held };
        claims.set(name, owner);
      }
      return null;
    },
    async release(given) {
      for (const [name, owner] of given) if (claims.get(name) === owner) claims.delete(name);
    },
    async append(id: string, added: readonly FlightPart[]) {
      const all = parts.get(id) ?? [];
      for (const part of added) all.push({ ...part, place: String(++place) });
      parts.set(id, all);
    },
    async clear(id) {
      parts.set(id, []);
    },
    async read(id, after) {
      if (store.isHanging) return hang();
      if (store.isFailing) throw new Error('away');
      return (parts.get(id) ?? []).filter(({ place }) => Number(place) > Number(after));
    },
    async close() {},
  };
  return store;
}

/** Two instances with one store; messages arrive at once. */
function createPair(clock: ManualClock, store: FlightStore): readonly [Flights, Flights] {
  const make = (name: string, other: () => Flights): Flights =>
    new Flights({
      clock,
      store,
      member: () => name,
      publish: (text) => other().take(text.split('\n').slice(1)),
    });
  const pair: [Flights, Flights] = [make('a', () => pair[1]), make('b', () => pair[0])];
  return pair;
}

const urgency = { priority: 'normal', remainingMs: 60_000 } as const;
const refuses: FlightLead = { record: () => null };

function listen() {
  const seen: string[] = [];
  return {
    seen,
    part: ({ kind }: PlacedPart) => (seen.push(kind), kind === 'end' ? ('end' as const) : ('more' as const)),
    gone: () => void seen.push('gone'),
  };
}

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
  assert.deepEqual(found!.foreign, { at: 0, id: own!.id, isSame: true });
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

test('a claim is free a second after its response is whole, and at once after a failure', async () => {
  const clock = createManualClock();
  const [one, two] = createPair(clock, createStore());
  const whole = await one.claim(['x'], 'f', refuses, null);
  one.end(whole!.id, true);
  await clock.advanceAsync(900);
  assert.notEqual((await two.claim(['x'], 'f', refuses, null))!.foreign, null);
  await clock.advanceAsync(200);
  const next = await two.claim(['x'], 'f', refuses, null);
  assert.equal(next!.foreign, null);
  two.end(next!.id, false);
  await clock.advanceAsync(0);
  assert.equal((await one.claim(['x'], 'f', refuses, null))!.foreign, null);
});

test('claims that could not be given up are given up once the store is back', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const release = store.release.bind(store);
  store.release = () => Promise.reject(new Error('away'));
  for (const [name, isWhole] of [
    ['x', true],
    ['y', false],
  ] as const)
    one.end((await one.claim([name], 'f', refuses, null))!.id, isWhole);
  await clock.advanceAsync(5_000);
  assert.equal(store.claims.size, 2);
  store.release = release;
  await clock.advanceAsync(1_000);
  assert.deepEqual([store.claims.size, clock.pendingTimers], [0, 0]);
});

test('an instance that does not answer is given up after a second, one that has gone silent after 3.5 seconds', async () => {
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
  await clock.advanceAsync(3_400);
  assert.deepEqual(silent.seen, ['head']);
  await clock.advanceAsync(400);
  assert.deepEqual(silent.seen, ['head', 'gone']);
});

test('the claim of an instance that is gone is replaced, and by one instance only', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one, two] = createPair(clock, store);
  const key = (await one.claim(['x'], 'f', refuses, null))!;
  const [name] = store.claims.keys();
  const dead = one.ownerOf('dead.1', 'f');
  store.claims.set(name!, dead);
  assert.equal((await two.claim(['x'], 'f', refuses, dead))!.foreign, null);
  assert.notEqual((await one.claim(['x'], 'f', refuses, dead))!.foreign, null);
  one.end(key.id, false);
  await clock.advanceAsync(0);
  assert.equal(store.claims.size, 1, 'an old claim that is given up leaves that of another');
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

/** A response with a head; `stops`: how often its recording was ended. */
function createRecorded() {
  const recorded = {
    stops: 0,
    isRefused: false,
    recorder: null as FlightRecorder | null,
    record(recorder: FlightRecorder) {
      if (recorded.isRefused) return null;
      recorded.recorder = recorder;
      recorder.add('hello');
      recorder.add('head');
      return () => {
        recorded.stops++;
        recorder.add('gone');
        recorder.close();
      };
    },
  };
  return recorded;
}

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
  assert.deepEqual(store.parts.get(id), [], 'no sign of life without followers');
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

test('a follower that gives up for silence, or because its store fails, ends the recording', async () => {
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

test('a response that ends after the close gives up its claim at once, and no timer is left', async () => {
  const clock = createManualClock();
  const store = createStore();
  const [one] = createPair(clock, store);
  const early = (await one.claim(['x'], 'f', refuses, null))!;
  const late = (await one.claim(['y'], 'f', refuses, null))!;
  one.end(early.id, true);
  await one.close();
  one.end(late.id, true);
  await clock.advanceAsync(0);
  assert.deepEqual([store.claims.size, clock.pendingTimers], [0, 0]);
});
